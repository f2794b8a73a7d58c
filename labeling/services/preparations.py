"""Preparation: a report on an uploaded file or a frozen version, and what somebody decided about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_noop

from annotate.doorbell import ring_on_commit
from annotate.errors import Conflict, DomainError, Invalid
from annotate.words import _, in_a_sentence
from labeling.formats import FORMATS, FormatError
from labeling.models import (
    Dataset,
    DatasetVersion,
    ImportRecord,
    ImportStatus,
    Preparation,
    PreparationStatus,
)
from labeling.preparation import Report, look_through

from . import import_files
from .activity import record_event
from .datasets import change_recipe, require_ready
from .evaluation_sets import check_evaluation, require_evaluation
from .import_preview import check_kind, checked_columns, file_gone, to_domain_error
from .preparation_options import DEFAULT_CONTEXT, MOST_CONTEXT, checked_fixes
from .preparation_rows import (
    chosen_tokenizer,
    default_context,
    is_plain_file,
    options_for,
    units_of_import,
    units_of_version,
)
from .progress import Progress
from .recipe_kinds import without_useless_entries

log = structlog.get_logger(__name__)

INLINE_BYTES = 1_000_000  # looked through while the person waits (some seconds)
ATTEMPTS = 3
FAULTS_SHOWN = 5
# Stored as they are, said in the language of whoever reads them.
BROKE = gettext_noop("Something broke on our side while the rows were looked through.")
DIED = gettext_noop("The process that looked through it died too often.")
DECISIONS = ("apply", "ignore", "open")
Subject = ImportRecord | DatasetVersion


def preparation_of(subject: Subject) -> Preparation | None:
    """What is stored about it, if anything (a query)."""
    return Preparation.objects.filter(**_key(subject)).first()


def _key(subject: Subject) -> dict[str, Any]:
    return {"import_record" if isinstance(subject, ImportRecord) else "version": subject}


def _require_open(subject: Subject) -> None:
    """Raises Conflict for an import that is confirmed already, and for a version that is not ready."""
    if isinstance(subject, DatasetVersion):
        require_ready(subject)
    elif subject.status not in (ImportStatus.UPLOADED, ImportStatus.FAILED):
        state = in_a_sentence(subject.get_status_display())
        raise Conflict(_("This import is %(state)s.") % {"state": state}, code="import_status")


def _keep_open(subject: Subject) -> None:
    """As `_require_open` on the row as it is now, which nobody confirms before this transaction ends; and
    nobody else changes the recipe of a version's dataset."""
    if isinstance(subject, DatasetVersion):
        rows = Dataset.objects.select_for_update(no_key=True)
        subject.dataset.recipe = rows.get(pk=subject.dataset_id).recipe
    else:
        subject.status = ImportRecord.objects.select_for_update(no_key=True).get(pk=subject.pk).status
    _require_open(subject)


def ask_for_report(
    *,
    subject: Subject,
    acting_user,
    context: int | None = None,
    tokenizer: str = "",
    evaluation: Iterable[int] = (),
    kind: str | None = None,
    format: str = "",
    column_mapping: Mapping[str, str] | None = None,
) -> Preparation:
    """Have all rows looked through: at once where they are few, else in the background.

    `context`: tokens that a row may have. `tokenizer`: the model whose tokens they are, and whose context it
    is where none is given; the project's own where none is chosen. `evaluation`: imports whose prompts may
    not be trained on. `kind`, `format`, `column_mapping`: how an import is to be read, as on its preview.
    What was decided before stays. Raises Invalid (an option), Conflict (confirmed already, or not ready).
    """
    _require_open(subject)
    options = _checked_options(subject, context, evaluation, tokenizer)
    if isinstance(subject, ImportRecord):
        kind = kind or subject.kind
        check_kind(kind)
        if format and format not in FORMATS:
            raise Invalid(_("There is no format “%(format)s”.") % {"format": format}, field="format")
        options |= {"kind": kind, "format": format, "columns": checked_columns(column_mapping) or {}}
    with transaction.atomic():
        preparation, _made = Preparation.objects.get_or_create(**_key(subject))
        Preparation.objects.filter(pk=preparation.pk).exclude(status=PreparationStatus.RUNNING).update(
            status=PreparationStatus.WAITING, options=options, attempt=0, error="", created_by=acting_user
        )
        ring = not _is_small(subject)
        if ring:
            ring_on_commit("labeling.tasks.prepare", preparation.pk)
    preparation.refresh_from_db()
    return preparation if ring else run_preparation(preparation=preparation)


def _is_small(subject: Subject) -> bool:
    if isinstance(subject, ImportRecord):
        return import_files.is_small(subject, INLINE_BYTES)
    return subject.size_bytes <= INLINE_BYTES


def _checked_options(
    subject: Subject, context: int | None, evaluation: Iterable[int], tokenizer: str = ""
) -> dict[str, Any]:
    chosen = chosen_tokenizer(_project_of(subject), tokenizer)
    is_given = context is not None
    if context is None:
        context = default_context(_project_of(subject), chosen)
    if isinstance(context, bool) or not isinstance(context, int) or not 1 <= context <= MOST_CONTEXT:
        raise Invalid(
            _("A number of tokens from 1 to %(most)s.") % {"most": f"{MOST_CONTEXT:,}"}, field="context"
        )
    wanted = sorted(set(evaluation))
    check_evaluation(_project_of(subject), wanted)
    named = {"tokenizer": tokenizer, "tokenizer_name": chosen.name} if chosen is not None else {}
    # What was not typed in follows the tokenizer that is chosen the next time.
    return {"context": context, "context_is_given": is_given, "evaluation": wanted, **named}


def _project_of(subject: Subject):
    return subject.project if isinstance(subject, ImportRecord) else subject.dataset.project


def run_preparation(*, preparation: Preparation) -> Preparation:
    """Look through the rows of a waiting preparation. Runs once however often it is called; what is wrong
    with the file becomes its error, anything else is recorded and raised."""
    heartbeat = Progress("preparation", preparation.pk)
    heartbeat.tell("looking through", 0, now=True)
    mine = Preparation.objects.filter(pk=preparation.pk, status=PreparationStatus.WAITING)
    claimed = mine.update(status=PreparationStatus.RUNNING, attempt=F("attempt") + 1)
    preparation.refresh_from_db()
    if claimed != 1:
        return preparation
    try:
        report = _look(preparation, heartbeat)
    except DomainError as error:
        _finish(preparation, status=PreparationStatus.FAILED, error=error.message)
    except Exception:
        log.exception("preparation_failed", preparation=preparation.pk)
        _finish(preparation, status=PreparationStatus.FAILED, error=BROKE)
        raise
    else:
        _finish(preparation, status=PreparationStatus.READY, report=report, computed_at=timezone.now())
    finally:
        heartbeat.end()
    preparation.refresh_from_db()
    return preparation


def _finish(preparation: Preparation, **values: Any) -> None:
    Preparation.objects.filter(
        pk=preparation.pk, status=PreparationStatus.RUNNING, attempt=preparation.attempt
    ).update(**values)


def _look(preparation: Preparation, heartbeat: Progress) -> dict[str, Any]:
    def tell(done: int) -> None:
        heartbeat.tell("looking through", done)

    options = preparation.options
    if (version := preparation.version) is not None:
        measured = options_for(
            version.dataset.project,
            context=options.get("context"),
            tokenizer=options.get("tokenizer", ""),
            evaluation=options.get("evaluation", ()),
        )
        return look_through(lambda: units_of_version(version), measured, tell=tell).to_json()
    if preparation.import_record is None:
        raise ValueError("a preparation is of an import or of a version")
    return _look_at_file(preparation.import_record, options, tell)


def _look_at_file(
    record: ImportRecord, options: dict[str, Any], tell: Callable[[int], None]
) -> dict[str, Any]:
    faults = Faults()
    kind = options["kind"]
    reading = {"kind": kind, "format": options["format"], "columns": options["columns"]}
    try:
        measured = options_for(
            record.project,
            context=options["context"],
            tokenizer=options.get("tokenizer", ""),
            is_plain=is_plain_file(record, kind),
            evaluation=options["evaluation"],
        )
        report = look_through(
            lambda: units_of_import(record, **reading, on_fault=faults.begin()), measured, tell=tell
        )
    except FormatError as error:
        raise to_domain_error(error) from error
    except FileNotFoundError as error:
        raise file_gone(record) from error
    return faults.added_to(report).to_json()


class Faults:
    """Rows that cannot be read, counted in the first of several readings."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[dict[str, Any]] = []
        self._readings = 0

    def begin(self) -> Callable[[FormatError], None]:
        self._readings += 1
        return self._note if self._readings == 1 else _pass_over

    def _note(self, error: FormatError) -> None:
        self.count += 1
        if len(self.first) < FAULTS_SHOWN:
            self.first.append({"row": error.row, "side": "", "text": str(error)})

    def added_to(self, report: Report) -> Report:
        if self.count:
            found = {"key": "unreadable", "severity": "error", "count": self.count, "values": {}}
            report.findings.insert(0, {**found, "rows": self.first, "groups": [], "fixes": []})
        return report


def _pass_over(_error: FormatError) -> None:
    """Noted already, in the first reading."""


@transaction.atomic
def decide(*, subject: Subject, finding: str, decision: str, acting_user, fix: str = "") -> Preparation:
    """Apply a `fix` of a finding, ignore the finding, or leave it open again.

    An import carries its fixes out when it is brought in; for a version the recipe of its dataset takes them
    up, so that the next version is frozen with them. Raises Invalid (no such finding, or fix) and Conflict.
    """
    _keep_open(subject)
    preparation = Preparation.objects.select_for_update().filter(**_key(subject)).first()
    known = {each["key"]: each for each in preparation.report.get("findings", ())} if preparation else {}
    if preparation is None or finding not in known:
        raise Invalid("The report has no such finding.", field="finding")
    if decision not in DECISIONS:
        raise Invalid(_("Choose one of %(known)s.") % {"known": ", ".join(DECISIONS)}, field="decision")
    offered = [each["key"] for each in known[finding]["fixes"]]
    if decision == "apply" and fix not in offered:
        raise Invalid("Choose one of the fixes that the finding offers.", field="fix")
    fixes = [name for name in fixes_of(subject, preparation) if name not in offered]
    ignored = [key for key in preparation.ignored if key != finding]
    if decision == "apply":
        fixes.append(fix)
    elif decision == "ignore":
        ignored.append(finding)
    preparation.ignored = ignored
    preparation.save(update_fields=["ignored"])
    _store_fixes(subject, preparation, checked_fixes(fixes), acting_user, chosen=fix)
    record_event(
        action="preparation.decided",
        actor=acting_user,
        obj=preparation,
        project=_project_of(subject),
        finding=finding,
        decision=decision,
        fix=fix,
    )
    return preparation


def fixes_of(subject: Subject, preparation: Preparation | None) -> list[str]:
    """The fixes chosen so far: of an import its own, of a version those of its dataset's recipe."""
    if isinstance(subject, DatasetVersion):
        return list(subject.dataset.recipe.get("filters", {}).get("fixes", ()))
    return list(preparation.fixes) if preparation is not None else []


def _store_fixes(
    subject: Subject, preparation: Preparation, fixes: list[str], acting_user, *, chosen: str
) -> None:
    if isinstance(subject, DatasetVersion):
        dataset = subject.dataset
        before = without_useless_entries(dataset.kind, dataset.recipe)
        filters = {**before.get("filters", {}), "fixes": fixes}
        if "drop_over_long" in fixes:
            filters["context"] = preparation.options.get("context", DEFAULT_CONTEXT)
            filters["tokenizer"] = preparation.options.get("tokenizer", "")
        if "drop_leaks" not in fixes:
            filters.pop("evaluation", None)
        elif chosen == "drop_leaks" and (sets := preparation.options.get("evaluation")):
            # With those that it names already: what was left out once does not come back.
            filters["evaluation"] = sorted({*filters.get("evaluation", ()), *sets})
        recipe = {**before, "filters": filters}
        change_recipe(dataset=dataset, recipe=recipe, acting_user=acting_user)
        return
    if preparation.fixes != fixes:  # what a dry run said was of other fixes
        ImportRecord.objects.filter(pk=subject.pk).update(report=None)
    preparation.fixes = fixes
    preparation.save(update_fields=["fixes"])


@transaction.atomic
def choose_fixes(
    *,
    import_record: ImportRecord,
    fixes: Iterable[str],
    context: int | None = None,
    evaluation: Iterable[int] = (),
) -> None:
    """Have an import carry out these fixes, whether or not anybody asked for a report. `evaluation`: imports
    that drop_leaks holds the rows against. Raises Invalid, Conflict."""
    _keep_open(import_record)
    chosen = checked_fixes(fixes)
    if not chosen:
        return
    options = _checked_options(import_record, context, evaluation)
    preparation, is_new = Preparation.objects.get_or_create(
        import_record=import_record, defaults={"options": options}
    )
    preparation.fixes = chosen
    if not is_new:
        typed = {"context": context} if context is not None else {}
        named = {"evaluation": options["evaluation"]} if options["evaluation"] else {}
        preparation.options = {**preparation.options, **typed, **named}
    require_evaluation(chosen, preparation.options.get("evaluation", ()))
    preparation.save(update_fields=["fixes", "options"])


def lost_preparations() -> list[Preparation]:
    """Those that wait, and those whose process died; those that died too often are failed here."""
    lost = list(Preparation.objects.filter(status=PreparationStatus.WAITING).order_by("pk"))
    for preparation in Preparation.objects.filter(status=PreparationStatus.RUNNING).order_by("pk"):
        if not Progress("preparation", preparation.pk).is_silent():
            continue
        if preparation.attempt >= ATTEMPTS:
            _finish(preparation, status=PreparationStatus.FAILED, error=DIED)
            continue
        _finish(preparation, status=PreparationStatus.WAITING)
        lost.append(preparation)
    return lost
