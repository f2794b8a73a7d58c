"""Read side of the hand-out: what comes next, for whom, and why. Nothing here writes.

The order of work for one person:

1. what they have in hand already, so that a reload never costs a task;
2. what a reviewer returned to them;
3. what a lead gave to them by name;
4. a free task on which they have unfinished words (their lease had run out);
5. open slots by priority, then nearest deadline, then tasks nearest completion, then in the order made.

Step 5 walks the partial index `assignment_handout` of one project, kind and language, so that its cost
follows the tasks a person has already dealt with at the head of the queue, not the length of the backlog.
Between 4 and 5, at their set rates, come calibration, gold and repeats: see services.turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from django.db import connection
from django.db.models import Case, Exists, F, IntegerField, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Now

from annotate.prepared import Prepared

from . import timesheet
from .models import (
    NO_DEADLINE,
    Appeal,
    Assignment,
    AssignmentStatus,
    BatchStatus,
    Completion,
    Demonstration,
    Draft,
    GuidelineAcknowledgement,
    GuidelineVersion,
    MemberLanguage,
    Project,
    Ranking,
    ReviewReason,
    Skip,
    Submission,
    Task,
    TaskCompletion,
    TaskKind,
    TaskPurpose,
    TaskStatus,
)

IN_HAND = (AssignmentStatus.LEASED, AssignmentStatus.RETURNED)
OwnRow = tuple[int, int, int, str]
LEASED, RETURNED, GIVEN, BEGUN = 1, 2, 3, 4  # steps of what is somebody's already
HELD = "held"  # why: somebody else is at this slot in this moment


@dataclass(frozen=True)
class Pick:
    """A slot that may be leased to the person, and which rule chose it (labeling.handout_reasons)."""

    assignment: Assignment
    why: str


@dataclass(frozen=True)
class KindGate:
    """The guideline version in force for a task kind, and whether the person has acknowledged it."""

    kind: str
    version_id: int | None
    number: int | None
    is_acknowledged: bool

    @property
    def is_open(self) -> bool:
        return self.version_id is None or self.is_acknowledged


def next_assignment(*, user, project: Project, kinds: Sequence[str], lock: bool = False) -> Pick | None:
    """What this person should work on next among `kinds`, or None.

    lock: take the row for update and pass over rows that others hold at this moment (PostgreSQL; SQLite has
    one writer at a time). The caller still claims it with a conditional UPDATE.
    """
    if not kinds:
        return None
    own = own_work(user=user, project=project, kinds=kinds)
    if own is not None:
        return own
    return first_open(user=user, project=project, kinds=kinds, lock=lock)


def first_open(*, user, project: Project, kinds: Sequence[str], lock: bool = False) -> Pick | None:
    """The head of the queue for this person: one query for each kind and language of theirs."""
    languages = languages_of(user=user, project=project)
    found = [
        row
        for kind in kinds
        for language in languages
        if (row := _first_open(user, project, kind, language, lock)) is not None
    ]
    if not found:
        return None
    first = min(found, key=lambda row: (-row.priority, row.due_at, row.handout_rank, row.task_id))
    if first.due_at < NO_DEADLINE:
        return Pick(first, "deadline")
    return Pick(first, "priority" if first.handout_rank else "begun")


def first_held(*, user, project: Project, kinds: Sequence[str]) -> Pick | None:
    """The head of what others hold at this moment, such as the sibling of a slot they are claiming: not to be
    leased, but to be waited for. Asked after `first_open` with `lock` has found nothing.

    None where no slot can be held: SQLite has one writer at a time.
    """
    if not connection.features.has_select_for_update_skip_locked:
        return None
    held = first_open(user=user, project=project, kinds=kinds)
    return Pick(held.assignment, HELD) if held is not None else None


def languages_of(*, user, project: Project) -> list[str]:
    """The languages of slots this person may have. "" is that of slots which anybody may have."""
    if not project.settings.match_languages:
        return [""]
    confirmed = MemberLanguage.objects.filter(
        membership__project=project, membership__user=user, confirmed_at__isnull=False
    )
    return ["", *confirmed.values_list("code", flat=True)]


def own_work(*, user, project: Project, kinds: Sequence[str]) -> Pick | None:
    """Work that is already this person's: in hand, returned, given to them, or begun and free again. One
    query, two for a hit.
    """
    found = sorted(own_rows(user=user, project=project, kinds=kinds))
    slots = Assignment.objects.select_related("task", "batch")
    if found and found[0][0] < BEGUN:
        step, pk, _task, _kind = found[0]
        slot = slots.get(pk=pk)
        if step == GIVEN and slot.purpose == TaskPurpose.REPEAT:
            return Pick(slot, "repeat")
        return Pick(slot, {LEASED: "in_hand", RETURNED: "returned", GIVEN: "assigned"}[step])
    if found:
        begun = begun_slots(user=user, project=project, rows=found)
        mine_again = begun.select_related("task", "batch").order_by("task_id", "slot").first()
        return Pick(mine_again, "own_draft") if mine_again is not None else None
    return None


def own_rows(*, user, project: Project, kinds: Sequence[str]) -> list[OwnRow]:
    """(step, key, task, kind) of what is this person's already: the lowest step goes first. The key is that
    of a slot; where words were begun that of their draft, and whether a slot is free is another question.
    """
    return _own_work(tuple(kinds)).all(user=user.pk, project=project.pk)


def begun_slots(*, user, project: Project, rows: Sequence[OwnRow]) -> QuerySet[Assignment]:
    """The free slots of tasks that this person has unfinished words on, of their `own_rows`."""
    begun = [task for step, _key, task, _kind in rows if step == BEGUN]
    return free_slots(user=user, project=project).filter(task_id__in=begun)


@cache
def _own_work(kinds: tuple[str, ...]) -> Prepared:
    return Prepared(lambda user, project: _own_rows(user, project, kinds), user=int, project=int)


def _own_rows(user, project, kinds: tuple[str, ...]) -> QuerySet:
    columns = ("step", "key", "task_id", "kind_of")
    mine = (
        in_their_hands(user=user, project=project)
        .filter(kind__in=kinds)
        .annotate(
            step=Case(
                When(status=AssignmentStatus.LEASED, then=Value(LEASED)),
                default=Value(RETURNED),
                output_field=IntegerField(),
            ),
            key=F("pk"),
            kind_of=F("kind"),
        )
        .order_by()
        .values_list(*columns)
    )
    given = (
        free_slots(user=user, project=project)
        .filter(reserved_for=user, kind__in=kinds)
        .annotate(step=Value(GIVEN, output_field=IntegerField()), key=F("pk"), kind_of=F("kind"))
        .order_by()
        .values_list(*columns)
    )
    words = (
        Draft.objects.filter(user=user, is_late=False, task__project=project, task__kind__in=kinds)
        .exclude(body={})
        .annotate(step=Value(BEGUN, output_field=IntegerField()), key=F("pk"), kind_of=F("task__kind"))
        .order_by()
        .values_list(*columns)
    )
    return mine.union(given, words, all=True)


def in_their_hands(*, user, project) -> QuerySet[Assignment]:
    """Slots this person has leased, or that came back to them: not what they passed on, nor while they
    appeal.
    """
    skipped = Skip.objects.filter(task=OuterRef("task_id"), user=user)
    appealed = Appeal.objects.open().filter(submission__assignment=OuterRef("pk"))
    waits = Q(status=AssignmentStatus.RETURNED) & ~Exists(skipped) & ~Exists(appealed)
    # The states first, as the index (annotator, status) has them: what they did before is not read.
    held = Assignment.objects.filter(annotator=user, status__in=IN_HAND, project=project)
    return held.filter(Q(status=AssignmentStatus.LEASED) | waits)


def available(*, user, project: Project) -> QuerySet[Assignment]:
    """Open slots that wait for whoever comes, and that this person may have."""
    return Assignment.objects.open().filter(project=project).filter(*_not_theirs_yet(user))


def free_slots(*, user, project: Project) -> QuerySet[Assignment]:
    """Open slots this person may have if they are theirs to take up: given to them, or begun by them."""
    running = Q(batch__status=BatchStatus.OPEN, due_at__gt=Now()) | Q(purpose=TaskPurpose.GOLD)
    rows = Assignment.objects.filter(project=project, status=AssignmentStatus.OPEN, task__parked_at=None)
    mine = Q(reserved_for=None) | Q(reserved_for=user)
    return rows.filter(running, mine, task__status=TaskStatus.OPEN).filter(*_not_theirs_yet(user))


def _not_theirs_yet(user) -> tuple:
    """Never a task they had a slot of, skipped, or wrote a completion of."""
    had = Assignment.objects.filter(task=OuterRef("task_id"), annotator=user)
    skipped = Skip.objects.filter(task=OuterRef("task_id"), user=user)
    wrote = TaskCompletion.objects.filter(task=OuterRef("task_id"), completion__author=user)
    return ~Exists(had), ~Exists(skipped), ~(Q(kind=TaskKind.RANKING) & Exists(wrote))


def in_queue_order(rows: QuerySet[Assignment]) -> QuerySet[Assignment]:
    """As the columns of the index `assignment_handout` go."""
    return rows.order_by("-priority", "due_at", "handout_rank", "task_id", "slot")


def _first_open(user, project: Project, kind: str, language: str, lock: bool) -> Assignment | None:
    head = HEAD_LOCKED if lock else HEAD
    return head.first(user=user.pk, project=project.pk, kind=str(kind), language=language)


def _head(user, project, kind, language) -> QuerySet[Assignment]:
    rows = available(user=user, project=project).filter(kind=kind, language=language)
    return in_queue_order(rows).select_related("task", "batch")


def locked(rows: QuerySet) -> QuerySet:
    """The same rows, locked for update, those that others hold left out, where the database can do that."""
    if connection.features.has_select_for_update_skip_locked:
        return rows.select_for_update(skip_locked=True, of=("self",), no_key=True)
    return rows


HEAD = Prepared(lambda **values: _head(**values)[:1], user=int, project=int, kind=str, language=str)
HEAD_LOCKED = Prepared(
    lambda **values: locked(_head(**values))[:1], user=int, project=int, kind=str, language=str
)


def _not_work(project) -> QuerySet[Task]:
    """Tasks whose slots are made as people come. Said as the condition of the index `task_special` is: SQLite
    does not conclude it from another purpose, and would read all tasks of the project.
    """
    return Task.objects.filter(project=project, status=TaskStatus.OPEN).exclude(purpose=TaskPurpose.WORK)


# Whether a project has any: most have none, and the question for one person's costs ten times as much.
SPECIAL = Prepared(
    lambda project, purpose: _not_work(project).filter(purpose=purpose).order_by().values_list("pk")[:1],
    project=int,
    purpose=str,
)


def special_tasks(*, user, project: Project, purpose: str) -> QuerySet[Task]:
    """Tasks of a purpose whose slots are made as people come, and that this person has not had."""
    rows = not_had(going_out(project=project, purpose=purpose), user)
    if project.settings.match_languages:
        rows = rows.filter(prompt__language__in=languages_of(user=user, project=project))
    return rows.order_by("kind", "pk")  # as the index goes: by number alone, SQLite would take another


def going_out(*, project: Project, purpose: str) -> QuerySet[Task]:
    """Such tasks that are handed out at this moment, to those who have not had them."""
    rows = _not_work(project).filter(purpose=purpose, parked_at=None)
    if purpose == TaskPurpose.GOLD:  # gold outlives its batch
        return rows
    overdue = Q(batch__deadline_at__isnull=False, batch__deadline_at__lte=Now())
    return rows.filter(batch__status=BatchStatus.OPEN).exclude(overdue)


def not_had(tasks: QuerySet[Task], user) -> QuerySet[Task]:
    """Those of the tasks that this person (or a reference to one, of an outer query) had no slot of, did not
    pass on, and wrote nothing for.
    """
    had = Assignment.objects.filter(task=OuterRef("pk"), annotator=user)
    skipped = Skip.objects.filter(task=OuterRef("pk"), user=user)
    wrote = TaskCompletion.objects.filter(task=OuterRef("pk"), completion__author=user)
    return tasks.filter(~Exists(had), ~Exists(skipped), ~Exists(wrote))


def gates(*, user, project: Project) -> dict[str, KindGate]:
    """Per task kind: the guideline version in force, and has this person acknowledged it. One query."""
    found = {
        kind: KindGate(kind, pk, number, done)
        for kind, pk, number, done in GATES.all(user=user.pk, project=project.pk)
    }
    return {kind: found.get(kind, KindGate(kind, None, None, False)) for kind in TaskKind.values}


def _gates(user, project) -> QuerySet:
    acknowledged = GuidelineAcknowledgement.objects.filter(version=OuterRef("pk"), user=user)
    newest = (
        GuidelineVersion.objects.filter(guideline=OuterRef("guideline"))
        .order_by("-number")
        .values("number")[:1]
    )
    return (
        GuidelineVersion.objects.filter(guideline__project=project, number=newest)
        .annotate(kind=F("guideline__kind"), is_acknowledged=Exists(acknowledged))
        .order_by()
        .values_list("kind", "pk", "number", "is_acknowledged")
    )


GATES = Prepared(_gates, user=int, project=int)


def returned_work(*, user, project: Project) -> QuerySet[Assignment]:
    """Slots whose submission a reviewer returned to this person, oldest first; not while they appeal."""
    return (
        in_their_hands(user=user, project=project)
        .filter(status=AssignmentStatus.RETURNED)
        .select_related("task__prompt", "submission")
        .order_by("submission__decided_at", "pk")
    )


def review_queue(*, project: Project, reviewer) -> QuerySet[Submission]:
    """Submissions that wait for a decision this person may make, oldest first.

    Nobody decides on their own work, nor on a fix of their own that was reopened.
    """
    return project.submissions.reviewable_by(reviewer).exclude(own_fix(reviewer)).order_by("pk")


def own_fix(reviewer) -> Q:
    """Reopened work whose standing judgment is the reviewer's own fix.

    Asked of reopened work only: a fix waits for nothing else, and a list of 100,000 must not look up each
    author.
    """
    mine = {"submission": OuterRef("pk"), "is_current": True, "author": reviewer}
    authored = Exists(Demonstration.objects.filter(**mine)) | Exists(Ranking.objects.filter(**mine))
    return Q(review_reason=ReviewReason.REOPENED) & authored


def completions_of(submission: Submission) -> list[Completion]:
    """What was ranked: the task's completions, or those an imported ranking names. Empty for a
    demonstration.
    """
    if submission.kind == TaskKind.DEMONSTRATION:
        return []
    if submission.task is not None:
        return list(submission.task.completions.all())
    ranking = submission.rankings.get(is_current=True)
    ids = [pk for tier in ranking.tiers for pk in tier] + ranking.unrankable
    return list(Completion.objects.filter(pk__in=ids).order_by("pk"))


def day_of_work(*, project: Project, user) -> dict[str, int]:
    """{"count", "seconds"} of this person's ledger since midnight where they live: pieces, active time."""
    day = timesheet.today_and_week(project=project, user=user)
    return {"count": day["pieces"], "seconds": day["seconds"]}


def late_drafts(*, project: Project) -> QuerySet[Draft]:
    """Complete work that came after its slot had gone to somebody else, oldest first."""
    # They are few on the whole site, and an index of their own holds them.
    here = Exists(Task.objects.filter(pk=OuterRef("task"), project=project))
    return (
        Draft.objects.filter(here, is_late=True)
        .select_related("task__prompt", "user")
        .order_by("updated_at", "pk")
    )
