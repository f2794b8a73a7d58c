"""The ledger of active time: entries are written by the services whose work they record, in their commit.

How much counts. A browser or program says how many seconds somebody was active; the site believes it as far
as a clock allows. Work on a task lies between two moments the site knows: `started_at` (the hand-out, or
where the last entry for the same words ended) and now. All entries of a person, over all projects and tabs,
must fit into real time one after the other: in no window of time lie more seconds than it has. `countable` is
what still fits; the rest of a claim is kept beside it (`claimed_seconds`) and does not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from annotate.accounts.models import User
from annotate.prepared import Prepared, PreparedInsert, PreparedUpdate
from labeling.models import (
    Activity,
    Assignment,
    Draft,
    FormVersion,
    LedgerDay,
    LedgerEntry,
    Project,
    Submission,
)

# Nobody looks longer than this at one piece they review, and nobody works longer on one task at a sitting.
LONGEST_REVIEW = timedelta(hours=1)
LONGEST_SITTING = timedelta(hours=6)


@dataclass(frozen=True)
class Measured:
    """What counts of a claim, and between which moments it lies."""

    seconds: int
    claimed: int
    started_at: datetime
    ended_at: datetime


def day_of(user: User, moment: datetime) -> date:
    """The calendar day of a moment where the person lives."""
    return moment.astimezone(ZoneInfo(user.timezone)).date()


# Locked so that two requests of one person count one after the other; only the key is read.
PERSON = Prepared(
    lambda pk: User.objects.select_for_update(no_key=True).filter(pk=pk).values_list("pk"), pk=int
)


SPANS = Prepared(
    lambda user, since: (
        LedgerEntry.objects.filter(user=user, ended_at__gt=since, started_at__isnull=False)
        .order_by()
        .values_list("started_at", "ended_at", "seconds")
    ),
    user=int,
    since=datetime,
)
ENTRY = PreparedInsert(LedgerEntry, guards_changes=True)
ADD_TO_DAY = PreparedUpdate(
    lambda project, user, batch, day, work, seconds, pieces, skips: (
        LedgerDay.objects.filter(project=project, user=user, batch=batch, day=day, work=work),
        {"seconds": F("seconds") + seconds, "pieces": F("pieces") + pieces, "skips": F("skips") + skips},
    ),
    project=int,
    user=int,
    batch=int,
    day=date,
    work=str,
    seconds=int,
    pieces=int,
    skips=int,
)
DRAFT_OPENED = PreparedInsert(Draft, update=["form_version", "counted_from"], unique=["task", "user"])


def measure(*, user: User, claimed: int, started_at: datetime, ended_at: datetime | None = None) -> Measured:
    """What counts of `claimed` seconds of work since `started_at`. Locks the person until the commit.

    The person is the last lock anybody takes (labeling.services.slots): their own entries wait for one
    another here, from whichever project, so that no moment is counted twice.
    """
    _require_transaction()
    PERSON.first(pk=user.pk)
    ended_at = ended_at or timezone.now()
    started_at = max(min(started_at, ended_at), ended_at - LONGEST_SITTING)
    claimed = max(0, int(claimed))
    if claimed == 0:
        return Measured(0, 0, started_at, ended_at)
    spans = _spans_since(user, started_at)
    return Measured(min(claimed, countable(spans, started_at, ended_at)), claimed, started_at, ended_at)


def countable(
    spans: Iterable[tuple[datetime, datetime, int]], started_at: datetime, ended_at: datetime
) -> int:
    """Whole seconds that fit between two moments beside the (start, end, seconds) counted already.

    One worker, one thing at a time, whichever way they went back and forth: spans fit if in no window the
    seconds of the spans inside it exceed its length. Only windows around the new span can break.
    """
    spans = list(spans)
    begins = {started_at} | {start for start, _, _ in spans if start < started_at}
    ends = {ended_at} | {end for _, end, _ in spans if end > ended_at}
    free = [
        (end - begin).total_seconds() - sum(each[2] for each in spans if each[0] >= begin and each[1] <= end)
        for begin in begins
        for end in ends
    ]
    return max(0, int(min(free)))


def _spans_since(user: User, started_at: datetime) -> list[tuple[datetime, datetime, int]]:
    """The person's entries that reach into the time since `started_at`, and those these lean on in turn."""
    horizon = started_at
    while True:
        found = SPANS.all(user=user.pk, since=horizon)
        spans = [
            (start, end, seconds) for start, end, seconds in found if start is not None and end is not None
        ]
        earliest = min((start for start, _, _ in spans), default=horizon)
        if earliest >= horizon:
            return spans
        horizon = earliest


def book(
    *,
    measured: Measured,
    user: User,
    project: Project,
    work: str,
    activity: Activity,
    source: str,
    pieces: int = 0,
    batch_id: int | None = None,
    submission: Submission | None = None,
) -> LedgerEntry:
    """Write one entry and add it to its day, in the caller's transaction. A source that is there already
    breaks the commit (IntegrityError): nothing is counted twice."""
    return write(
        LedgerEntry(
            project=project,
            user=user,
            batch_id=batch_id,
            submission=submission,
            work=work,
            activity=activity,
            source=source,
            day=day_of(user, measured.ended_at),
            timezone=user.timezone,
            seconds=measured.seconds,
            claimed_seconds=measured.claimed,
            pieces=pieces,
            started_at=measured.started_at,
            ended_at=measured.ended_at,
        )
    )


def write(entry: LedgerEntry) -> LedgerEntry:
    """Store an entry and add it to its day. The caller has locked the person."""
    _require_transaction()
    ENTRY.insert(entry)
    skips = int(entry.activity == Activity.SKIP)
    if not _add_to_day(entry, skips):
        LedgerDay.objects.create(**_day_key(entry), seconds=entry.seconds, pieces=entry.pieces, skips=skips)
    return entry


def _day_key(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "project_id": entry.project_id,
        "user_id": entry.user_id,
        "batch_id": entry.batch_id,
        "day": entry.day,
        "work": entry.work,
    }


def _add_to_day(entry: LedgerEntry, skips: int) -> int:
    """Add an entry to its day's row; how many rows there were (1 or 0)."""
    if entry.batch_id is None:  # a correction, or imported work: "= NULL" would find nothing
        return LedgerDay.objects.filter(**_day_key(entry)).update(
            seconds=F("seconds") + entry.seconds, pieces=F("pieces") + entry.pieces, skips=F("skips") + skips
        )
    return ADD_TO_DAY.run(
        project=entry.project_id,
        user=entry.user_id,
        batch=entry.batch_id,
        day=entry.day,
        work=str(entry.work),
        seconds=entry.seconds,
        pieces=entry.pieces,
        skips=skips,
    )


# --- What the services book ---------------------------------------------------------------------------------
def measure_draft(*, draft: Draft | None, assignment: Assignment, user: User, claimed: int) -> Measured:
    """What counts of the time on a draft beyond what is booked; `claimed` is the whole of it."""
    booked = draft.booked_seconds if draft is not None else 0
    started_at = (draft.counted_from if draft is not None else None) or assignment.leased_at
    return measure(user=user, claimed=claimed - booked, started_at=started_at or timezone.now())


def book_submission(*, submission: Submission, measured: Measured, batch_id: int, user: User) -> LedgerEntry:
    """A first submission is a piece; a mended one brings its time only."""
    return book(
        measured=measured,
        user=user,
        project=submission.project,
        work=submission.kind,
        activity=Activity.SUBMISSION,
        source=f"submission:{submission.pk}:{submission.revision_count}",
        pieces=int(submission.revision_count == 1),
        batch_id=batch_id,
        submission=submission,
    )


def book_late_piece(*, submission: Submission, batch_id: int, user: User) -> LedgerEntry:
    """Late work that was taken in: its time was booked when it came, now it is a piece as well."""
    now = timezone.now()
    return book_submission(
        submission=submission, measured=Measured(0, 0, now, now), batch_id=batch_id, user=user
    )


def lock_people(*people: User) -> None:
    """Where one commit writes entries of two people: in one order, so that nobody waits for one another."""
    for pk in sorted({person.pk for person in people}):
        PERSON.first(pk=pk)


def book_unfinished(
    *,
    assignment: Assignment,
    user: User,
    activity: Activity,
    source: str,
    claimed: int | None = None,
    until_last_save: bool = False,
) -> LedgerEntry | None:
    """Time on words that were not submitted (skipped, given back, ran out): it was worked all the same.

    claimed: the whole time on the draft as the page knew it; what the draft says where it is not given.
    until_last_save: nothing is known of the person since. None where there was no time and no skip to write.
    """
    draft = Draft.objects.select_for_update(no_key=True).filter(task_id=assignment.task_id, user=user).first()
    total = max(claimed or 0, draft.active_seconds if draft is not None else 0)
    booked = draft.booked_seconds if draft is not None else 0
    if total <= booked and activity != Activity.SKIP:
        return None
    ended_at = draft.updated_at if draft is not None and until_last_save else timezone.now()
    started_at = (draft.counted_from if draft is not None else None) or assignment.leased_at or ended_at
    measured = measure(user=user, claimed=total - booked, started_at=started_at, ended_at=ended_at)
    entry = book(
        measured=measured,
        user=user,
        project=assignment.project,
        work=assignment.kind,
        activity=activity,
        source=source,
        batch_id=assignment.batch_id,
    )
    if draft is not None:
        counted = booked + measured.seconds
        # Not `updated_at`: that is when the words were saved last.
        Draft.objects.filter(pk=draft.pk).update(
            booked_seconds=counted, active_seconds=counted, counted_from=max(ended_at, started_at)
        )
    return entry


def book_withdrawn(*, slot: Assignment) -> None:
    """What whoever has this slot had begun, as a lead takes it from them; nothing where nobody has it."""
    if slot.annotator is not None:
        book_unfinished(
            assignment=slot,
            user=slot.annotator,
            activity=Activity.RELEASE,
            source=f"withdrawn:{slot.pk}:{slot.fence}",
            until_last_save=True,
        )


def open_draft(*, task_id: int, user: User, form_version: FormVersion | None) -> None:
    """A task is handed to somebody under a form: time on it may count from now on."""
    DRAFT_OPENED.create(task_id=task_id, user=user, form_version=form_version, counted_from=timezone.now())


def _require_transaction() -> None:
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("The ledger needs the caller's transaction")
