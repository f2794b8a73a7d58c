"""`manage.py verify`: do judgments, decisions and what became of them still say what the audit trail says?

Every revision and every review left a digest in an audit row of its commit (services.digests), and those rows
are under seals. So whoever changes a judgment behind the site's back has to change the audit row too, and
then the seal does not fit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from labeling.models import (
    Appeal,
    AuditEvent,
    Demonstration,
    JudgmentOrigin,
    Ranking,
    Review,
    ReviewDecision,
    ReviewReason,
    Submission,
    SubmissionStatus,
    TaskKind,
)

from . import digests
from .told import Remark, as_dict, gone

CHUNK = 500  # submissions at a time, by six queries
READINGS = 3  # of a submission in which something is wrong: somebody may be at work on it right now
MODELS: dict[str, Any] = {TaskKind.DEMONSTRATION: Demonstration, TaskKind.RANKING: Ranking}
COMES_IN = ("submission.submitted", "submission.late_accepted")
# What changes a submission's status, or writes a revision or a review of it.
TELLING = (
    *COMES_IN, "submission.reviewed", "submission.reopened", "submission.decision_undone", "gold.scored",
)  # fmt: skip


@dataclass
class _Told:
    """What the audit trail says of one submission."""

    judgments: dict[Any, list[dict]] = field(default_factory=lambda: defaultdict(list))  # by revision
    reviews: dict[Any, list[dict]] = field(default_factory=lambda: defaultdict(list))  # by id
    status: str | None = None  # None: not known, by an audit row from before they said it
    flags: list | None = None
    # Revisions and reviews of which audit rows without digests tell.
    older: set[Any] = field(default_factory=set)
    older_reviews: set[Any] = field(default_factory=set)
    older_undone: bool = False


@dataclass
class _Found:
    """What the tables say of one submission."""

    pk: int
    project: str
    kind: str
    status: str
    flags: list
    prompt: int
    revision_count: int
    base: tuple  # its id, task and annotator
    is_import: bool
    rows: list[tuple[str, bool, tuple]] = field(default_factory=list)  # (kind, is current, values of ROW)
    reviews: list[tuple] = field(default_factory=list)  # (id, *values)


def verify_judgments() -> Iterator[tuple[str, list[str]]]:
    """(which submission, its problems) for every submission; then those that are gone, then what was written
    before there were digests. Memory does not grow with their number."""
    older: Counter[tuple[str, str]] = Counter()
    last = 0
    while chunk := _compared(Submission.objects.filter(pk__gt=last)):
        last = chunk[-1].pk
        for each in chunk:
            older += each.older
            problems, readings = each.problems, 1
            while problems and readings < READINGS:
                again = _compared(Submission.objects.filter(pk=each.pk))
                problems, before = (again[0].problems if again else []), problems
                readings = READINGS if problems == before else readings + 1
            yield f"{each.project}: submission {each.pk}", problems
    for pk, project, _ in gone(Submission, COMES_IN):
        yield f"{project}: submission {pk}", ["it was removed"]
    for (project, what), count in sorted(older.items()):
        yield project, [Remark(f"{count:,} {what} from before there were digests: held against nothing")]


@dataclass(frozen=True)
class _Compared:
    pk: int
    project: str
    problems: list[str]
    older: Counter[tuple[str, str]]  # (project, what) without a digest


def _compared(submissions: Any) -> list[_Compared]:
    """The first 500 of them, held against the audit trail."""
    columns = (
        "pk", "project__slug", "kind", "status", "prompt_flags", "prompt_id", "revision_count", "task_id",
        "annotator_id", "import_record_id",
    )  # fmt: skip
    rows = list(submissions.order_by("pk").values_list(*columns)[:CHUNK])
    found = {
        pk: _Found(pk, project, kind, status, flags, prompt, count, (pk, task, who), file is not None)
        for pk, project, kind, status, flags, prompt, count, task, who, file in rows
    }
    _read(found)
    told = _told_of(found)
    compared = []
    for each in found.values():
        older: Counter[tuple[str, str]] = Counter()
        problems = list(_problems_of(each, told[each.pk], older))
        compared.append(_Compared(each.pk, each.project, problems, older))
    return compared


def _read(found: dict[int, _Found]) -> None:
    for kind, model in MODELS.items():
        rows = model.objects.filter(submission__in=list(found)).order_by("submission", "revision")
        for pk, is_current, *values in rows.values_list("submission_id", "is_current", *digests.ROW[kind]):
            found[pk].rows.append((str(kind), is_current, tuple(values)))
    reviews = Review.objects.filter(submission__in=list(found)).order_by("pk")
    for pk, *values in reviews.values_list("pk", *digests.columns(digests.REVIEW)):
        found[values[0]].reviews.append((pk, *values))


def _told_of(found: dict[int, _Found]) -> dict[int, _Told]:
    ids = list(found)
    told = {
        pk: _Told(status=SubmissionStatus.ACCEPTED if each.is_import else None) for pk, each in found.items()
    }
    events = AuditEvent.objects.order_by("pk").values_list("pk", "action", "object_id", "data")
    rows = [
        (number, action, int(object_id), data)
        for number, action, object_id, data in events.filter(
            object_type="submission", object_id__in=[str(pk) for pk in ids], action__in=TELLING
        )
    ]
    appeals = {
        str(pk): submission
        for pk, submission in Appeal.objects.filter(submission__in=ids).values_list("pk", "submission_id")
    }
    if appeals:
        decided = events.filter(object_type="appeal", object_id__in=list(appeals), action="appeal.decided")
        rows += [(number, action, appeals[pk], data) for number, action, pk, data in decided]
    for _number, action, pk, data in sorted(rows, key=lambda row: row[0]):
        _take_in(told[pk], action, as_dict(data))
    return told


def _take_in(told: _Told, action: str, data: dict[str, Any]) -> None:
    told.status = data.get("status")
    if action in COMES_IN:
        told.flags = data.get("prompt_flags")
    revision = _number(data.get("revision", 1))
    if "digests" in data:
        kept = as_dict(data["digests"])
        for name, key, entries in (("judgment", "revision", told.judgments), ("review", "id", told.reviews)):
            if name in kept:
                entry = as_dict(kept[name])
                entries[_number(entry.get(key))].append(entry)
    elif action in COMES_IN:
        told.older.add(revision)
    elif action == "submission.reviewed":
        told.older_reviews.add(revision)
        if data.get("decision") == ReviewDecision.FIXED:
            told.older.add(revision + 1)
    elif action in ("submission.decision_undone", "appeal.decided"):
        told.older_undone = True


def _problems_of(found: _Found, told: _Told, older: Counter) -> Iterator[str]:
    yield from _judgment_problems(found, told, older)
    yield from _review_problems(found, told, older)
    if told.status is not None and told.status != found.status:
        yield f"its status was changed: it is {found.status}, the audit trail left it {told.status}"
    if told.flags is not None and told.flags != found.flags:
        yield "its prompt flags were changed"


def _judgment_problems(found: _Found, told: _Told, older: Counter) -> Iterator[str]:
    seen = set()
    current = []
    for kind, is_current, values in found.rows:
        row = dict(zip(digests.ROW[kind], values, strict=True))
        revision, written = row["revision"], row.get("prompt_id")
        seen.add(revision)
        if is_current:
            current.append(revision)
        if kind != found.kind:
            yield f"revision {revision} is no {found.kind}"
        elif told.judgments.get(revision):
            prompt = found.prompt if written is None else written
            recompute = partial(digests.judgment_digest, kind, (*found.base, prompt, *values))
            entries = told.judgments[revision]
            yield from _against(f"revision {revision}", digests.JUDGMENT[kind], entries, recompute)
        elif found.is_import and row["origin"] == JudgmentOrigin.IMPORT:
            pass  # verify_imports
        elif revision in told.older or (told.older_undone and row["origin"] == JudgmentOrigin.RESTORED):
            older[found.project, "judgments"] += 1
        else:
            yield f"revision {revision} was added: no audit row tells of it"
        if is_current and written not in (None, found.prompt):
            yield f"its prompt is not the one that was written with revision {revision}"
    for revision in sorted(told.judgments.keys() - seen, key=str):
        yield f"revision {revision} was removed"
    if current != [found.revision_count] or seen and max(seen, key=_number) != found.revision_count:
        yield f"revision {_listed(current)} counts, of {found.revision_count}: the newest one should"


def _number(value: Any) -> int:
    return value if isinstance(value, int) else -1


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values)) or "none"


def _review_problems(found: _Found, told: _Told, older: Counter) -> Iterator[str]:
    seen = set()
    for pk, *values in found.reviews:
        seen.add(pk)
        row = dict(zip(digests.columns(digests.REVIEW), values, strict=True))
        name = f"review {pk} (revision {row['revision']}, {row['decision']})"
        if told.reviews.get(pk):
            recompute = partial(digests.review_digest, values)
            yield from _against(name, digests.REVIEW, told.reviews[pk], recompute)
        elif row["revision"] in told.older_reviews or (
            told.older_undone and row["queue_reason"] == ReviewReason.APPEALED
        ):
            older[found.project, "reviews"] += 1
        else:
            yield f"{name} was added: no audit row tells of it"
    for pk in sorted(told.reviews.keys() - seen, key=str):
        yield f"review {pk} was removed"


def _against(
    name: str, aspects: digests.Aspects, entries: list[dict], recompute: Callable[[], tuple[str, str]]
) -> Iterator[str]:
    """Held against the first audit row that tells of it: a later one would be another's."""
    if len(entries) > 1:
        yield f"{name}: {len(entries)} audit rows tell of it"
    kept = entries[0]
    if kept.get("v") != digests.VERSION:
        yield f"{name}: its digest is of a kind that this version does not know"
        return
    try:
        sha256, parts = recompute()
    except TypeError:
        yield f"{name} was changed: it holds what cannot be written as JSON"
        return
    if sha256 != kept.get("sha256"):
        which = digests.changed(aspects, str(kept.get("parts")), parts)
        yield f"{name} was changed: {', '.join(which) or 'something in it'}"
