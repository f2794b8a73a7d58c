"""Read side of qualification: where everybody stands with the screening sets, in words. No writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import ngettext

from annotate.words import _, in_a_sentence, later

from . import queues
from .models import (
    Assignment,
    AssignmentStatus,
    Membership,
    MembershipStatus,
    Project,
    Qualification,
    QualificationStatus,
    Role,
    ScreeningSet,
    TaskPurpose,
    TaskStatus,
)
from .services.screening import must_qualify, open_sets, with_done


@dataclass(frozen=True)
class Standing:
    """Where one person stands with one kind of work. `left`: tasks of the set that they can be handed now;
    `in_hand`: those that they have leased.
    """

    screening: ScreeningSet
    membership: Membership
    qualification: Qualification | None  # with_done
    left: int = 0
    in_hand: int = 0

    @property
    def kind(self) -> str:
        return self.screening.kind

    @property
    def status(self) -> str:
        return self.qualification.status if self.qualification else "not_begun"

    @property
    def label(self) -> str:
        return self.qualification.get_status_display() if self.qualification else _("Not begun")

    @property
    def is_qualified(self) -> bool:
        return self.status == QualificationStatus.PASSED

    @property
    def done(self) -> int:
        """Tasks of the present attempt that count already."""
        return self.qualification.done if self.qualification else 0  # type: ignore[attr-defined]

    @property
    def may_begin(self) -> bool:
        """Whether nothing but tasks is wanting for an attempt: their first, or one after the days to wait."""
        mine = self.qualification
        if mine is None:
            return True
        is_due = mine.retry_at is not None and mine.retry_at <= timezone.now()
        return mine.status == QualificationStatus.FAILED and is_due

    @property
    def has_enough(self) -> bool:
        """Whether there are tasks for a whole attempt. One that nobody could finish does not begin."""
        return self.left + self._begun >= self.screening.tasks_per_attempt

    @property
    def is_under_way(self) -> bool:
        """Whether they may begin or go on, if there are tasks."""
        return self.may_begin or self.status == QualificationStatus.IN_WORK

    @property
    def lacks_tasks(self) -> bool:
        """Whether they cannot go on, or not try again, for want of tasks: a lead has to do something."""
        if self.is_qualified or self.status == QualificationStatus.UNDECIDED:
            return False
        return self.is_held_back if self.is_under_way else not self.has_enough

    @property
    def to_do(self) -> int:
        """How many of its tasks they can be handed, besides those in hand; 0 where they cannot go on."""
        wanted = self.screening.tasks_per_attempt
        if self.may_begin:
            return wanted - self._begun if self.has_enough else 0
        if self.status == QualificationStatus.IN_WORK:
            return max(0, min(self.left, wanted - self.done - self.in_hand))
        return 0

    @property
    def is_held_back(self) -> bool:
        """Whether they are not qualified and have nothing to do about it at this moment."""
        return not (self.is_qualified or self.to_do or self.in_hand)

    @property
    def _begun(self) -> int:
        """Tasks of a first attempt that has no row yet: there is one with its first result."""
        return self.in_hand if self.qualification is None else 0

    @property
    def text(self) -> str:
        """What the person reads, "" once they are qualified."""
        mine = self.qualification
        words = {"kind": in_a_sentence(self.screening.get_kind_display())}
        if mine is None or mine.status == QualificationStatus.IN_WORK:
            return self._text_at_work(words)
        if mine.status == QualificationStatus.UNDECIDED:
            if self.done < self.screening.tasks_per_attempt:
                return str(
                    later(
                        "No more tasks of your %(kind)s screening are left. A lead looks at what you did.",
                        **words,
                    )
                )
            return str(later("Your %(kind)s screening is done. A lead looks at it.", **words))
        if mine.status == QualificationStatus.FAILED:
            first = str(later("You did not pass the %(kind)s screening.", **words))
            return " ".join(part for part in (first, mine.note, self._what_comes_next()) if part)
        return ""

    def _text_at_work(self, words: dict) -> str:
        count = self.screening.tasks_per_attempt
        text = ngettext(
            "Before %(kind)s work you do a short screening: %(n)s task, handed to you like any other.",
            "Before %(kind)s work you do a short screening: %(n)s tasks, handed to you like any other.",
            count,
        ) % {**words, "n": count}
        if self.done:
            text += " " + _("You have done %(n)s of them.") % {"n": self.done}
        if self.is_held_back:
            text += " " + _("None can be handed to you at the moment; a lead can change that.")
        return text

    def _what_comes_next(self) -> str:
        """After a failed attempt."""
        retry_at = self.qualification.retry_at if self.qualification else None
        if not self.has_enough:
            return str(_("There are no tasks left for another attempt. A lead decides what comes next."))
        if self.may_begin:
            return str(_("You may try again."))
        if retry_at:
            return _("Try again from %(day)s.") % {
                "day": date_format(timezone.localtime(retry_at), "MONTH_DAY_FORMAT")
            }
        return str(_("A lead decides if you try again."))


def standings(*, project: Project, membership: Membership | None) -> list[Standing]:
    """Of one person, for the kinds that they must qualify for; empty where they need not. Two queries, and
    a third until they are qualified.
    """
    if (
        membership is None
        or membership.pk is None
        or not must_qualify(project=project, membership=membership)
    ):
        return []
    in_hand = _leased(OuterRef("batch"), membership.user_id)
    sets = list(open_sets(project).select_related("batch").annotate(in_hand=in_hand))
    rows = Qualification.objects.filter(membership=membership, screening_set__in=sets)
    held = {each.screening_set_id: each for each in with_done(rows)}
    passed = QualificationStatus.PASSED
    wanting = [each for each in sets if each.pk not in held or held[each.pk].status != passed]
    left: dict[int, int] = {}
    if wanting:
        tasks = queues.special_tasks(user=membership.user_id, project=project, purpose=TaskPurpose.SCREENING)
        tasks = tasks.filter(batch__in=[each.batch_id for each in wanting]).order_by()
        left = dict(tasks.values_list("batch").annotate(count=Count("pk")))
    return [
        Standing(each, membership, held.get(each.pk), left.get(each.batch_id, 0), each.in_hand)
        for each in sets
    ]


def split_kinds(*, where: list[Standing], kinds: Sequence[str]) -> tuple[list[str], list[Standing]]:
    """(the kinds this person may do, the screenings that they may begin or go on with)."""
    held = {each.kind: each for each in where}
    qualified = [kind for kind in kinds if kind not in held or held[kind].is_qualified]
    return qualified, [held[kind] for kind in kinds if kind in held and held[kind].to_do]


def with_attempts(sets: QuerySet[ScreeningSet]) -> QuerySet[ScreeningSet]:
    """With `attempts`: for how many of one person there are tasks, as nobody gets a task twice."""
    tasks = Count("batch__tasks", filter=Q(batch__tasks__status=TaskStatus.OPEN))
    return sets.annotate(attempts=tasks / F("tasks_per_attempt"))


def everybody(screening: ScreeningSet) -> list[Standing]:
    """Of all annotators at work in the project with one set (two queries), those who wait first."""
    rows = screening.qualifications.select_related("decided_by")
    held = {each.membership_id: each for each in with_done(rows)}
    tasks = queues.going_out(project=screening.project, purpose=TaskPurpose.SCREENING)
    tasks = queues.not_had(tasks.filter(batch=screening.batch_id), OuterRef(OuterRef("user")))
    count = tasks.order_by().values("batch").annotate(count=Count("pk")).values("count")
    members = (
        Membership.objects.filter(
            project=screening.project_id, role=Role.ANNOTATOR, status=MembershipStatus.ACTIVE
        )
        .select_related("user")
        .annotate(left=Coalesce(Subquery(count), 0), in_hand=_leased(screening.batch_id, OuterRef("user")))
    )
    found = [
        Standing(screening, member, held.get(member.pk), member.left, member.in_hand) for member in members
    ]
    order = ["undecided", "failed", "in_work", "not_begun", "passed"]
    return sorted(found, key=lambda row: (order.index(row.status), row.membership.user.name.lower()))


def _leased(batch, user) -> Coalesce:
    """How many tasks of the batch the person has in hand, as a column."""
    rows = Assignment.objects.filter(batch=batch, annotator=user, status=AssignmentStatus.LEASED)
    count = rows.order_by().values("annotator").annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(count), 0)
