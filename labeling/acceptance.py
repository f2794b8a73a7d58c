"""Acceptance: the one definition of it, for every page, the API and the files.

Of the work that a reviewer decided on, the share that was accepted as it was. What a reviewer fixed counts in
datasets but not as accepted: somebody had to mend it. What counts without a review says nothing of how good
it is: it is told apart. What waits, or waits again, is in neither.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q, QuerySet

from annotate.words import _

from .models import Figure, ReviewDecision, Submission, SubmissionStatus

MEANING = _(
    "Acceptance is the share of reviewed work that was accepted as it was. Fixed work does not count as "
    "accepted, and work that counts without a review is left out."
)
AS_IT_WAS = Q(status=SubmissionStatus.ACCEPTED, verdict=ReviewDecision.ACCEPTED)
FIXED = Q(status=SubmissionStatus.ACCEPTED, verdict=ReviewDecision.FIXED)
RETURNED = Q(status=SubmissionStatus.RETURNED)
REJECTED = Q(status=SubmissionStatus.REJECTED)
REVIEWED = AS_IT_WAS | FIXED | RETURNED | REJECTED
NOT_REVIEWED = Q(status=SubmissionStatus.ACCEPTED, verdict="")
# As the list of all work filters by it: where each of the numbers leads.
CHOICES = [
    ("any", _("Reviewed")),
    ("accepted", _("Accepted as it was")),
    ("fixed", _("Fixed")),
    ("returned", _("Returned")),
    ("rejected", _("Rejected")),
    ("none", _("Not reviewed, counts")),
]
WHICH = {
    "any": REVIEWED, "accepted": AS_IT_WAS, "fixed": FIXED, "returned": RETURNED, "rejected": REJECTED,
    "none": NOT_REVIEWED,
}  # fmt: skip


def by_review(rows: QuerySet[Submission], choice: str) -> QuerySet[Submission]:
    """Work of people whose last review says so; what was imported is nobody's to be measured by."""
    return rows.filter(WHICH[choice], annotator__isnull=False)


@dataclass
class Acceptance:
    """How some work did in review, in numbers of submissions."""

    accepted: int = 0  # as it was
    fixed: int = 0
    returned: int = 0
    rejected: int = 0
    unreviewed: int = 0  # counts, and nobody reviewed it

    @property
    def reviewed(self) -> int:
        return self.accepted + self.fixed + self.returned + self.rejected

    @property
    def share(self) -> float | None:
        return share_of(self.accepted, self.reviewed)

    @classmethod
    def of_figure(cls, figure: Figure) -> Acceptance:
        """Of a batch, as worked out in the background."""
        return cls(figure.accepted, figure.fixed, figure.returned, figure.rejected, figure.unreviewed)

    def add(self, status: str, verdict: str, number: int) -> None:
        """So many submissions more of a state and of what their standing review says."""
        match status, verdict:
            case SubmissionStatus.ACCEPTED, ReviewDecision.ACCEPTED:
                self.accepted += number
            case SubmissionStatus.ACCEPTED, ReviewDecision.FIXED:
                self.fixed += number
            case SubmissionStatus.ACCEPTED, _said:
                self.unreviewed += number
            case SubmissionStatus.RETURNED, _said:
                self.returned += number
            case SubmissionStatus.REJECTED, _said:
                self.rejected += number


def share_of(accepted: int, reviewed: int) -> float | None:
    """None where nothing was reviewed: then there is no share, not one of 0 or of 100 %."""
    return accepted / reviewed if reviewed else None
