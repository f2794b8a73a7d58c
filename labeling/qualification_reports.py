"""Read side of qualification: where everybody stands with the screening sets, in words. No writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext, ngettext

from annotate.words import _, in_a_sentence

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
        return self.qualification.get_status_display() if self.qualification else _("Not begun")

    @property
    def is_qualified(self) -> bool:
        return self.status == QualificationStatus.PASSED

    @property
    def text(self) -> str:
        """What the person reads, "" once they are qualified."""
        mine, tasks = self.qualification, self.screening.tasks_per_attempt
        values = {"kind": in_a_sentence(self.screening.get_kind_display()), "count": tasks}
        if mine is None or mine.status == QualificationStatus.IN_WORK:
            said = ngettext(
                "Before %(kind)s work you do a short screening: %(count)s task, handed out like any other.",
                "Before %(kind)s work you do a short screening: %(count)s tasks, handed out like any other.",
                tasks,
            )
            return said % values
        if mine.status == QualificationStatus.UNDECIDED:
            return _("Your %(kind)s screening is done. A lead looks at it.") % values
        if mine.status == QualificationStatus.FAILED:
            return " ".join(filter(None, [*self._failed(mine, values)]))
        return ""

    def _failed(self, mine: Qualification, values: dict[str, object]) -> Iterator[str]:
        """In sentences, with a lead's note among them."""
        waits = mine.retry_at is not None and mine.retry_at > timezone.now()
        if mine.retry_at and not waits:
            yield _("You may try the %(kind)s screening again.") % values
            yield mine.note
            return
        yield _("You did not pass the %(kind)s screening.") % values
        yield mine.note
        if mine.retry_at:
            yield _("Try again from %(day)s.") % {"day": f"{mine.retry_at:%Y-%m-%d}"}
        else:
            yield gettext("A lead decides if you try again.")


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
