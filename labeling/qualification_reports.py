"""Read side of qualification: where everybody stands with the screening sets, in words. No writes."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone

from .models import (
    Membership,
    MembershipStatus,
    Project,
    Qualification,
    QualificationStatus,
    Role,
    ScreeningSet,
)
from .services.screening import must_qualify, open_sets


@dataclass(frozen=True)
class Standing:
    """Where one person stands with one kind of work."""

    screening: ScreeningSet
    membership: Membership
    qualification: Qualification | None

    @property
    def kind(self) -> str:
        return self.screening.kind

    @property
    def status(self) -> str:
        return self.qualification.status if self.qualification else "not_begun"

    @property
    def label(self) -> str:
        return self.qualification.get_status_display() if self.qualification else "Not begun"

    @property
    def is_qualified(self) -> bool:
        return self.status == QualificationStatus.PASSED

    @property
    def text(self) -> str:
        """What the person reads, "" once they are qualified."""
        kind = self.screening.get_kind_display().lower()
        mine = self.qualification
        if mine is None or mine.status == QualificationStatus.IN_WORK:
            return (
                f"Before {kind} work you do a short screening: {self.screening.tasks_per_attempt} tasks, "
                "handed to you like any other."
            )
        if mine.status == QualificationStatus.UNDECIDED:
            return f"Your {kind} screening is done. A lead looks at it."
        if mine.status == QualificationStatus.FAILED:
            note = f" {mine.note}" if mine.note else ""
            if mine.retry_at and mine.retry_at > timezone.now():
                return f"You did not pass the {kind} screening.{note} Try again from {mine.retry_at:%d %B}."
            if mine.retry_at:
                return f"You may try the {kind} screening again.{note}"
            return f"You did not pass the {kind} screening.{note} A lead decides if you try again."
        return ""


def standings(*, project: Project, membership: Membership) -> list[Standing]:
    """Of one person, for the kinds that they must qualify for (two queries); empty where they need not."""
    if membership.pk is None or not must_qualify(project=project, membership=membership):
        return []
    held = {each.screening_set_id: each for each in membership.qualifications.all()}
    return [
        Standing(each, membership, held.get(each.pk)) for each in open_sets(project).select_related("batch")
    ]


def everybody(screening: ScreeningSet) -> list[Standing]:
    """Of all annotators at work in the project with one set (two queries), those who wait first."""
    held = {each.membership_id: each for each in screening.qualifications.select_related("decided_by")}
    members = Membership.objects.filter(
        project=screening.project_id, role=Role.ANNOTATOR, status=MembershipStatus.ACTIVE
    ).select_related("user")
    rows = [Standing(screening, member, held.get(member.pk)) for member in members]
    order = ["undecided", "failed", "in_work", "not_begun", "passed"]
    return sorted(rows, key=lambda row: (order.index(row.status), row.membership.user.name.lower()))
