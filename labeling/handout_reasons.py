"""Why somebody was handed a slot, in words: for the person themselves, and for leads."""

from __future__ import annotations

from annotate.words import _

from .models import Assignment

WHY = {
    "in_hand": _("You have this task in hand already."),
    "returned": _("A reviewer returned it to you."),
    "own_draft": _("You began it earlier; your words are still there."),
    "assigned": _("A lead gave it to you."),
    "late": _("You submitted it after your time had run out, and it was still free."),
}
# What the person is told of everything else: neither that a peer is at it, nor what it is for.
WHY_NEXT = _("It is next in the queue.")
# What leads read.
WHY_FOR_LEADS = {
    "in_hand": _("They had it in hand already."),
    "returned": _("A reviewer returned it to them."),
    "assigned": _("A lead gave it to them."),
    "own_draft": _("They had begun it earlier."),
    "late": _("They submitted it after their time had run out, and it was still free."),
    "begun": _("Of the highest priority waiting; others are at it or done, so it is nearest completion."),
    "deadline": _("Of the highest priority waiting; its batch has the nearest deadline."),
    "priority": _("Of the highest priority waiting, and first in line."),
    "calibration": _("Calibration: everybody gets this task."),
    "gold": _("Gold: it was their turn for a task with a known answer."),
    "screening": _("Screening: they are not qualified for this kind of task yet."),
    "repeat": _("Drift check: they had ranked the same completions before."),
}


def explain(assignment: Assignment) -> str:
    """Why this person was handed this slot, in a sentence for them; "" for one nobody has had."""
    why = assignment.presentation.get("why", "")
    return str(WHY.get(why, WHY_NEXT)) if why else ""


def explain_to_lead(assignment: Assignment) -> str:
    """The same for leads: which rule chose it."""
    return str(WHY_FOR_LEADS.get(assignment.presentation.get("why", ""), ""))
