"""Datasets: recipes, and the immutable versions frozen from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import structlog
from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone
from django.utils.translation import gettext_noop

from annotate.doorbell import ring_on_commit
from annotate.errors import Conflict, DomainError, Invalid, NotFound
from annotate.words import _, in_a_sentence, later
from labeling.formats import (
    EXPORT_FORMATS,
    SPLITS,
    ExportError,
    ExportFormat,
    ExportSummary,
    export_lines,
    split_of,
)
from labeling.models import Dataset, DatasetKind, DatasetVersion, DatasetVersionStatus, RecipeRevision

from .activity import record_event
from .dataset_facts import FactGatherer, facts_digest
from .dataset_files import MANIFEST, VersionWriter, folder_of
from .dataset_filters import filtered_rows
from .dataset_recipes import LONGEST_NOTE, newest_revision
from .dataset_recipes import change_recipe as change_recipe
from .dataset_recipes import create_dataset as create_dataset
from .dataset_rows import count_selected
from .freeze_requests import FreezeRequest, end_as_twin, tell_owner
from .judgments import clean_text
from .progress import Progress, lost_jobs
from .recipes import Recipe
from .restrictions import OTHER_PEOPLE
from .selection_counts import count_selection
from .snapshots import one_snapshot

log = structlog.get_logger(__name__)

INLINE_ROWS = 20_000  # a version of up to this many rows is built while the person waits (a few seconds)
ATTEMPTS = 3
# Stored as they are, said in the language of whoever reads them.
BROKE = gettext_noop("Something broke on our side while the files were written.")
DIED = gettext_noop("The process that wrote its files died too often.")
PIECE = 1 << 16
NOTHING_FITS = {
    DatasetKind.SFT: _("There is no accepted demonstration that fits this recipe."),
    DatasetKind.COMPARISON: _("There is no accepted ranking that fits this recipe."),
    DatasetKind.PROMPTS: _("There is no prompt that fits this recipe."),
    DatasetKind.COMPLETIONS: _("There is no completion that fits this recipe."),
}


def freeze_dataset(
    *,
    dataset: Dataset,
    acting_user,
    note: str = "",
    in_background: bool | None = None,
    recipe: Recipe | None = None,
    parent: DatasetVersion | None = None,
    idempotency_key: str = "",
    force: bool = False,
) -> DatasetVersion:
    """Begin the next version and build it: at once up to INLINE_ROWS rows, else in the background.

    `in_background` decides instead of the size. `recipe`: in place of the newest revision's, for a version
    made of another one, its `parent`. The same key twice is one version. A version that comes out the same as
    a ready one of the dataset ends as unchanged, its `same_as` (freeze_requests.standing), unless `force`.
    Raises Invalid where nothing fits the recipe, no database holds the note, or the key was for another
    freeze.
    """
    note = clean_text(note, "note")
    asked = {"note": note, "force": force, "recipe": recipe.to_json() if recipe else None}
    request = FreezeRequest.of(
        dataset, acting_user, idempotency_key, asked | {"parent": parent.pk if parent else None}
    )
    if answered := request.answered_before():
        return answered
    revision, recipe = _recipe_of(dataset, parent, recipe)
    rows = _count_that_fit(dataset, recipe)
    if in_background is None:
        in_background = rows > INLINE_ROWS
    with transaction.atomic():
        # One person at a time takes the next number.
        Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
        if answered := request.answered_before():
            return answered
        last = dataset.versions.aggregate(last=Max("number"))["last"] or 0
        version = DatasetVersion.objects.create(
            dataset=dataset,
            number=last + 1,
            recipe=recipe.to_json(),
            recipe_revision=revision,
            note=note.strip()[:LONGEST_NOTE],
            parent=parent,
            created_by=acting_user,
            is_forced=force,
            idempotency_key=request.key,
            request_sha256=request.sha256 if request.key else "",
        )
        record_event(
            action="dataset.freezing",
            actor=acting_user,
            obj=version,
            project=dataset.project,
            dataset=dataset.pk,
            number=version.number,
            **({"recipe_revision": revision.number} if revision is not None else {}),
            **({"parent": parent.number, "recipe": recipe.to_json()} if parent else {}),
        )
        if in_background:
            ring_on_commit("labeling.tasks.build_version", version.pk)
    return version if in_background else build_version(version=version)


def _recipe_of(
    dataset: Dataset, parent: DatasetVersion | None, recipe: Recipe | None
) -> tuple[RecipeRevision | None, Recipe]:
    """The revision that a version names, and what it is frozen by."""
    revision = parent.recipe_revision if parent is not None else newest_revision(dataset)
    if recipe is None:
        recipe = Recipe.from_json(revision.recipe if revision is not None else dataset.recipe)
    return revision, recipe.resolved_for(dataset.project)


def _count_that_fit(dataset: Dataset, recipe: Recipe) -> int:
    if rows := count_selected(dataset.project, dataset.kind, recipe):
        return rows
    raise Invalid(
        NOTHING_FITS[DatasetKind(dataset.kind)],
        code="empty_dataset",
        hint="Loosen the recipe, or collect more work.",
    )


def build_version(*, version: DatasetVersion, in_background: bool = False) -> DatasetVersion:
    """Write the files of a freezing version and make it ready. Runs once however often it is called.

    1. Claim it: the next attempt number, if nobody else is at it.
    2. Write all rows from one database snapshot into a folder beside its place; fsync.
    3. Rename the folder, then move this very attempt to ready in one transaction.
    """
    heartbeat = Progress("dataset", version.pk)
    version.refresh_from_db()
    if version.status != DatasetVersionStatus.FREEZING or (version.attempt and not heartbeat.is_silent()):
        return version
    heartbeat.tell("writing", 0, now=True)  # before the claim, so that a sweep never takes it for dead
    mine = DatasetVersion.objects.filter(pk=version.pk, status=DatasetVersionStatus.FREEZING)
    if mine.filter(attempt=version.attempt).update(attempt=F("attempt") + 1) != 1:
        return version
    version.refresh_from_db()
    try:
        with VersionWriter(version) as writer:
            frozen = _write_files(version, writer, heartbeat)
            _make_ready(version, writer, frozen, in_background)
    except (DomainError, ExportError) as error:
        _fail(version, str(error), in_background)
    except Exception:
        log.exception("freeze_failed", version=version.pk)
        _fail(version, BROKE, in_background)
        raise
    finally:
        heartbeat.end()
    version.refresh_from_db()
    return version


class _Frozen(NamedTuple):
    """What the row is to know of the files."""

    manifest: dict[str, Any]
    sha256: str
    size: int
    facts: dict[str, Any]


def _write_files(version: DatasetVersion, writer: VersionWriter, heartbeat: Progress) -> _Frozen:
    recipe = Recipe.from_json(version.recipe)
    dataset, facts = version.dataset, FactGatherer(version)
    with one_snapshot():
        with heartbeat.kept_alive("writing"):  # a count of all rows, which says nothing meanwhile
            counted = count_selection(dataset.project, dataset.kind, recipe)
        facts.not_selected = counted.left_out
        if others := facts.not_selected.get(OTHER_PEOPLE):  # the others are told beside the manifest
            writer.statistics.left_out[OTHER_PEOPLE] += others
        changed = writer.statistics.changed

        def tell(_read: int) -> None:  # also while what is a duplicate is found out, and nothing is written
            heartbeat.tell("writing", writer.count, counted.selected)

        for selected in filtered_rows(dataset.project, dataset.kind, recipe, changed, read=tell):
            if selected.row is None:
                writer.statistics.leave_out(selected)
                continue
            split = split_of(selected.group, recipe.salt, recipe.fractions)
            writer.add(split, selected)
            facts.add(split, selected)
        gathered = facts.to_json()
    if writer.count == 0:
        raise Invalid(NOTHING_FITS[DatasetKind(dataset.kind)], code="empty_dataset")
    return _Frozen(*writer.finish(version.recipe), gathered)


@transaction.atomic
def _make_ready(version, writer: VersionWriter, frozen: _Frozen, in_background: bool) -> None:
    manifest, sha256 = frozen.manifest, frozen.sha256
    if twin := end_as_twin(version, sha256):
        if in_background:
            said = later("Nothing to freeze: %(version)s has the very same rows.", version=twin)
            tell_owner(version, said, page_of=twin)
        return
    ready = DatasetVersion.objects.filter(
        pk=version.pk, status=DatasetVersionStatus.FREEZING, attempt=version.attempt
    ).update(
        status=DatasetVersionStatus.READY,
        row_counts=manifest["rows"],
        sha256=sha256,
        manifest=manifest,
        size_bytes=frozen.size,
        facts=frozen.facts,
        frozen_at=timezone.now(),
    )
    if ready != 1:
        raise Conflict("This version was taken up by another worker.", code="freeze_lost")
    record_event(
        action="dataset.frozen",
        actor=version.created_by,
        obj=version,
        project=version.dataset.project,
        sha256=sha256,
        rows=manifest["rows"],
        facts_sha256=facts_digest(frozen.facts),  # the trail is sealed: `verify` holds the facts against it
    )
    if in_background:
        tell_owner(
            version,
            later(
                "%(version)s is ready: %(n)s rows.", version=version, n=f"{sum(manifest['rows'].values()):,}"
            ),
        )
    # Last: if the commit then fails, the folder has no ready version and the next attempt replaces it.
    writer.publish()


@transaction.atomic
def _fail(version: DatasetVersion, problem: str, in_background: bool) -> None:
    mine = DatasetVersion.objects.filter(
        pk=version.pk, status=DatasetVersionStatus.FREEZING, attempt=version.attempt
    )
    if mine.update(status=DatasetVersionStatus.FAILED, error=problem) == 1:
        record_event(
            action="dataset.freeze_failed",
            actor=version.created_by,
            obj=version,
            project=version.dataset.project,
            error=problem,
        )
        if in_background:
            tell_owner(
                version, later("%(version)s was not frozen: %(problem)s", version=version, problem=problem)
            )


def lost_versions() -> list[DatasetVersion]:
    """Versions to be built: nobody has begun, or whoever did has died. Those that died too often are failed
    here."""
    freezing = DatasetVersion.objects.filter(status=DatasetVersionStatus.FREEZING).order_by("pk")
    return lost_jobs("dataset", freezing, attempts=ATTEMPTS, give_up=_give_up)


def _give_up(version: DatasetVersion) -> None:
    _fail(version, DIED, True)


# --- Reading a version
# ----------------------------------------------------------------------------------------
def require_ready(version: DatasetVersion) -> None:
    """Raises Conflict while it is being written or where it failed."""
    if version.status != DatasetVersionStatus.READY:
        raise Conflict(
            _("%(version)s is not ready: %(state)s.")
            % {"version": version, "state": in_a_sentence(version.get_status_display())},
            code="version_not_ready",
        )


def split_path(*, version: DatasetVersion, split: str) -> Path:
    """The JSON lines file of a split, canonical rows. Raises Invalid (no such split), Conflict, NotFound
    (file gone)."""
    require_ready(version)
    if split not in SPLITS:
        raise Invalid(
            _("There is no split “%(split)s”.") % {"split": split},
            field="split",
            hint=_("It is one of %(known)s.") % {"known": ", ".join(SPLITS)},
        )
    path = folder_of(version) / f"{split}.jsonl"
    if not path.exists():
        raise NotFound(
            _("The files of %(version)s are not on this machine.") % {"version": version},
            code="files_missing",
        )
    return path


def manifest_path(*, version: DatasetVersion) -> Path:
    """The manifest as it was frozen: the SHA-256 of its bytes is the version's. Raises Conflict, NotFound."""
    require_ready(version)
    path = folder_of(version) / MANIFEST
    if not path.exists():
        raise NotFound(
            _("The files of %(version)s are not on this machine.") % {"version": version},
            code="files_missing",
        )
    return path


def open_split(*, version: DatasetVersion, split: str) -> Iterator[dict[str, Any]]:
    """The canonical rows of a split, one by one, in the version's order."""
    path = split_path(version=version, split=split)
    return _rows_of(path)


def _rows_of(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, "rb") as file:
        for line in file:
            yield orjson.loads(line)


def check_format(version: DatasetVersion, format: str) -> ExportFormat:
    """The export format of that name. Raises Invalid where this kind of dataset does not have it."""
    export = EXPORT_FORMATS.get(format)
    if export is None or version.dataset.kind not in export.kinds:
        names = ", ".join(name for name, each in EXPORT_FORMATS.items() if version.dataset.kind in each.kinds)
        raise Invalid(
            _("This dataset has no format “%(format)s”.") % {"format": format},
            field="format",
            hint=_("It has %(names)s.") % {"names": names},
        )
    return export


def export_version(
    *,
    version: DatasetVersion,
    format: str,
    split: str | None = None,
    summary: ExportSummary | None = None,
    marks: Mapping[str, Any] | None = None,
) -> Iterator[bytes]:
    """A version, or one split of it, in an export format: pieces of about 64 kB, memory flat whatever its
    size. `summary`, where given, is filled meanwhile: what the format could not hold was left out. `marks`:
    what is chosen of a format that leaves something to choose.

    Raises Invalid for a format that this kind of dataset does not have; everything is checked before the
    first piece.
    """
    export = check_format(version, format)
    try:
        export.marks_of(marks)
    except ExportError as error:
        raise Invalid(f"{error}.", field="options") from error
    paths = split_paths(version=version, split=split)
    fields = version.recipe.get("include_fields", ())
    return _pieces(paths, format, summary=summary, marks=marks, fields=fields)


def split_paths(*, version: DatasetVersion, split: str | None) -> list[Path]:
    """The files of one split, or of all in their order. Raises as `split_path` does."""
    return [split_path(version=version, split=name) for name in ([split] if split else SPLITS)]


def _pieces(paths: list[Path], format: str, **options: Any) -> Iterator[bytes]:
    if format == "canonical":  # byte for byte what the hash was taken of
        for path in paths:
            with open(path, "rb") as file:
                while piece := file.read(PIECE):
                    yield piece
        return
    held: list[bytes] = []
    size = 0
    rows = (row for path in paths for row in _rows_of(path))
    for line in export_lines(rows, format, **options):
        held.append(line)
        size += len(line)
        if size >= PIECE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
