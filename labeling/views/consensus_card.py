"""What each rule makes of a task's rankings, as a page shows it: letters, not ids, and words for how sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext, ngettext

from labeling.consensus import LETTERS, RuleOrder, Weighed, letters, weigh_task
from labeling.models import Task


@dataclass(frozen=True)
class Line:
    """One rule."""

    rule: str
    label: str
    order: str
    unrankable: str
    support: float | None
    sure: str
    is_chosen: bool
    differs: str  # "A–B, B–C"


def consensus_card(task: Task, rule: str | None = None) -> dict[str, Any] | None:
    """{"lines", "pairs", "cycles", "is_disputed", "people"}; None where nobody's ranking stands."""
    weighed = weigh_task(task, rule)
    if weighed is None:
        return None
    name = dict(zip(weighed.ids, LETTERS, strict=False))
    return {
        "lines": [_line(each, weighed, name) for each in weighed.rules],
        "pairs": [
            {"name": f"{LETTERS[pair.first]}–{LETTERS[pair.second]}", **pair._asdict()}
            for pair in weighed.pairs
        ],
        "cycles": [", ".join(name[pk] for pk in cycle) for cycle in weighed.cycles],
        "is_disputed": weighed.is_disputed,
        "people": len(weighed.rankings),
    }


def _line(each: RuleOrder, weighed: Weighed, name: dict[int, str]) -> Line:
    return Line(
        rule=each.rule,
        label=each.label,
        order=letters(each.tiers, weighed.ids),
        unrankable=", ".join(name[pk] for pk in each.unrankable),
        support=each.support,
        sure=_sure(each),
        is_chosen=each.is_chosen,
        differs=", ".join(f"{name[first]}–{name[second]}" for first, second in each.differs_on),
    )


def _sure(each: RuleOrder) -> str:
    optima = each.opinion.optima
    if optima is not None:
        said = ngettext("the only best order", "%(n)s orders are equally good; this is their middle", optima)
        return said % {"n": optima}
    if each.least_sure is not None:
        return gettext("its least sure step: %(share)s %%") % {"share": round(each.least_sure * 100)}
    if each.opinion.surest_of == () and each.rule == "plackett_luce":
        return gettext("nothing speaks for either")
    return ""
