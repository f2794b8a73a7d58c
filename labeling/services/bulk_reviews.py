"""One decision on many submissions: each in a transaction of its own, with its own audit row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from annotate.errors import DomainError, Invalid
from annotate.words import _
from labeling.models import Project, Review, ReviewDecision, Submission

from .drafts import sane_seconds
from .reviews import accept_submission, check_reasons, reject_submission, return_submission

MOST_AT_ONCE = 200
DECISIONS = (ReviewDecision.ACCEPTED, ReviewDecision.RETURNED, ReviewDecision.REJECTED)


@dataclass(frozen=True)
class Chosen:
    """A submission and the revision that the reviewer saw of it."""

    submission: Submission
    revision: int


@dataclass(frozen=True)
class Outcome:
    """What became of one: a review, or why there is none."""

    submission: Submission
    review: Review | None
    error: DomainError | None


def decide_many(
    *,
    project: Project,
    chosen: Sequence[Chosen],
    decision: str,
    reviewer,
    reasons: Sequence[str] = (),
    note: str = "",
    reopen: bool = True,
    active_seconds: int = 0,
) -> list[Outcome]:
    """Accept, return or reject each; what stands in the way of one hinders no other.

    Raises Invalid before anything is decided: for another decision (a fix is made one by one), none or too
    many chosen, an unknown reason, bad news without a reason. The time of the page is shared out evenly among
    those that are decided.
    """
    check_bulk(project=project, count=len(chosen), decision=decision)
    check_reasons(project, decision, reasons, note)
    outcomes: list[Outcome] = []
    left = sane_seconds(active_seconds)
    for number, each in enumerate(chosen):
        share = left // (len(chosen) - number)
        common = {
            "submission": each.submission,
            "revision": each.revision,
            "reviewer": reviewer,
            "note": note,
            "active_seconds": share,
        }
        try:
            match decision:
                case ReviewDecision.ACCEPTED:
                    review = accept_submission(**common)
                case ReviewDecision.RETURNED:
                    review = return_submission(**common, reasons=reasons)
                case _:
                    review = reject_submission(**common, reasons=reasons, reopen=reopen)
        except DomainError as error:
            outcomes.append(Outcome(each.submission, None, error))
        else:
            left -= share
            outcomes.append(Outcome(each.submission, review, None))
    return outcomes


def check_bulk(*, project: Project, count: int, decision: str) -> None:
    """Raises Invalid for what can never be decided in bulk."""
    if decision not in DECISIONS:
        raise Invalid("In bulk one can accept, return or reject.", field="decision")
    if not count:
        raise Invalid("Choose at least one submission.", field="submissions")
    if count > MOST_AT_ONCE:
        raise Invalid(
            _("At most %(most)s at once; %(count)s are chosen.") % {"most": MOST_AT_ONCE, "count": count},
            field="submissions",
        )
