"""Why somebody was handed a slot, in words: for the person themselves, and for leads."""

from __future__ import annotations

from .models import Assignment

WHY = {
    "in_hand": "You have this task in hand already.",
    "returned": "A reviewer returned it to you.",
    "own_draft": "You began it earlier; your words are still there.",
    "assigned": "A lead gave it to you.",
    "late": "You submitted it after your time had run out, and it was still free.",
}
# What the person is told of everything else: neither that a peer is at it, nor what it is for.
WHY_NEXT = "It is next in the queue."
# What leads read.
WHY_FOR_LEADS = {
    "in_hand": "They had it in hand already.",
    "returned": "A reviewer returned it to them.",
    "assigned": "A lead gave it to them.",
    "own_draft": "They had begun it earlier.",
    "late": "They submitted it after their time had run out, and it was still free.",
    "begun": "Of the highest priority waiting; others are at it or done, so it is nearest completion.",
    "deadline": "Of the highest priority waiting; its batch has the nearest deadline.",
    "priority": "Of the highest priority waiting, and first in line.",
    "calibration": "Calibration: everybody gets this task.",
    "gold": "Gold: it was their turn for a task with a known answer.",
    "screening": "Screening: they are not qualified for this kind of task yet.",
    "repeat": "Drift check: they had ranked the same completions before.",
}


def explain(assignment: Assignment) -> str:
    """Why this person was handed this slot, in a sentence for them; "" for one nobody has had."""
    why = assignment.presentation.get("why", "")
    return WHY.get(why, WHY_NEXT) if why else ""


def explain_to_lead(assignment: Assignment) -> str:
    """The same for leads: which rule chose it."""
    return WHY_FOR_LEADS.get(assignment.presentation.get("why", ""), "")
