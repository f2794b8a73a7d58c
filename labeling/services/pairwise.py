"""Which of two answers is better, and by how much: the strengths of the pairwise screen as a ranking's tiers
and margin, so that agreement, datasets and reward models need not know that it was asked in another way.

| strength | tiers | margin |
|---|---|---|
| A (B) much better | A over B (B over A) | significantly |
| A (B) better | | clearly |
| A (B) slightly better | | slightly |
| about the same | one tier | none |
| neither can be judged | none: both are unrankable, for one reason | none |

A ranking that came in by the API or a fix may carry the fourth margin, "negligibly": it reads as "slightly
better" on this screen. A is the answer shown first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotate.errors import Invalid
from annotate.words import _


@dataclass(frozen=True)
class Strength:
    """One step of the row. `key` is the digit that chooses it; `better` is "a", "b" or "" for a tie."""

    value: str
    key: str
    label: str
    better: str
    margin: str


STRENGTHS = (
    Strength("a_much_better", "1", _("A much better"), "a", "significantly"),
    Strength("a_better", "2", _("A better"), "a", "clearly"),
    Strength("a_slightly_better", "3", _("A slightly better"), "a", "slightly"),
    Strength("about_the_same", "4", _("About the same"), "", ""),
    Strength("b_slightly_better", "5", _("B slightly better"), "b", "slightly"),
    Strength("b_better", "6", _("B better"), "b", "clearly"),
    Strength("b_much_better", "7", _("B much better"), "b", "significantly"),
)
TIE = STRENGTHS[3]
# Beside the row, not in it: no opinion on how good they are.
NEITHER = Strength("neither", "0", _("Neither can be judged"), "none", "")


def strengths(*, allow_ties: bool) -> list[Strength]:
    """Those to choose from; without ties the digits of the others stay the same."""
    return [each for each in STRENGTHS if allow_ties or each is not TIE]


def ranking_of_strength(strength: Any, order: Sequence[int]) -> dict[str, Any]:
    """{"tiers", "margins", "touched", "unrankable"} of a strength; `order`: the two as shown. Why neither can
    be judged goes beside it, as for any ranking (unrankable_reasons). Raises Invalid.
    """
    chosen = next((each for each in (*STRENGTHS, NEITHER) if each.value == strength), None)
    if chosen is None:
        known = ", ".join(each.value for each in (*STRENGTHS, NEITHER))
        raise Invalid(
            "Say which answer is better.",
            field="strength",
            hint=_("It is one of %(known)s.") % {"known": known},
        )
    if len(order) != 2:
        raise Invalid("Only two completions are compared by strength.", field="strength")
    a, b = order
    if chosen is NEITHER:
        return {"tiers": [], "margins": [], "touched": [], "unrankable": [a, b]}
    tiers = {"a": [[a], [b]], "b": [[b], [a]]}.get(chosen.better, [[a, b]])
    return {
        "tiers": tiers,
        "margins": [chosen.margin] if chosen.margin else [],
        "touched": [a, b],
        "unrankable": [],
    }


def neither_reasons(fields: Mapping[str, Any], order: Sequence[int]) -> dict[int, dict[str, Any]]:
    """unrankable_reasons from the screen's one reason and note, which are for both."""
    reason, note = fields.get("neither_reason"), fields.get("neither_note") or ""
    return {pk: {"reason": reason, "note": note} for pk in order} if reason else {}


def strength_of(tiers: Sequence[Sequence[Any]], margins: Sequence[Any], order: Sequence[Any]) -> str:
    """The value of the strength a ranking of two says, "" where it says none (unrankable, no margin)."""
    if len(order) != 2 or sorted(pk for tier in tiers for pk in tier) != sorted(order):
        return ""
    if len(tiers) == 1:
        return TIE.value
    better = "a" if tiers[0][0] == order[0] else "b"
    margin = "slightly" if list(margins) == ["negligibly"] else (margins[0] if margins else "")
    found = [each.value for each in STRENGTHS if each.better == better and each.margin == margin]
    return found[0] if found else ""
