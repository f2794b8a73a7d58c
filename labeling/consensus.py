"""Read side: what a task's standing rankings add up to by each rule, with names of completions.

The project chooses the rule that proposes; the others stand beside it. How reliable people are, which two of
the rules ask for, is what the stored quality report says of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .models import Project, QualityReport, Ranking, Task, TaskKind
from .quality import RULES, Opinion, Tally, weigh
from .services.ranking_signals import rankings_of as standing_rankings
from .services.ranking_signals import ranks_of

RULE_NAMES = dict(RULES)
LETTERS = "ABCDEFGHI"


@dataclass(frozen=True)
class RuleOrder:
    """One rule's order of a task's completions, by their ids."""

    rule: str
    label: str
    tiers: list[list[int]]
    unrankable: list[int]
    opinion: Opinion
    is_chosen: bool  # it proposes the consensus here
    differs_on: list[tuple[int, int]]  # pairs that it puts otherwise than the chosen one

    @property
    def support(self) -> float | None:
        return self.opinion.support

    @property
    def least_sure(self) -> float | None:
        return min(self.opinion.surest_of, default=None)


@dataclass(frozen=True)
class Weighed:
    """What is known of a task's consensus. `pairs` number completions by place in `ids`; `cycles` and orders
    hold ids. `reliability`: of those who ranked it, where the quality report knows them."""

    ids: list[int]
    rankings: list[Ranking]
    rules: list[RuleOrder]
    pairs: list[Tally]
    cycles: list[list[int]]
    reliability: dict[int, float]

    @property
    def chosen(self) -> RuleOrder:
        return next(each for each in self.rules if each.is_chosen)

    @property
    def is_disputed(self) -> bool:
        return any(each.differs_on for each in self.rules)


def weigh_task(task: Task, rule: str | None = None) -> Weighed | None:
    """By every rule; `rule` in place of the one that the project chose. None where nobody's ranking stands,
    or the task is no ranking. Three queries."""
    rankings = standing_rankings(task) if task.kind == TaskKind.RANKING else []
    if not rankings:
        return None
    ids = list(task.task_completions.order_by("position").values_list("completion_id", flat=True))
    chosen = rule if rule in RULE_NAMES else task.project.settings.consensus_rule
    people = [ranking.submission.annotator_id for ranking in rankings]
    known = reliability_of(task.project, [person for person in people if person is not None])
    found = weigh(
        [ranks_of(ranking, ids) for ranking in rankings],
        reliability=[known.get(person) if person is not None else None for person in people],
    )
    rules = [_order(ids, found.opinions[key], key == chosen, found.opinions[chosen]) for key in RULE_NAMES]
    cycles = [[ids[place] for place in cycle] for cycle in found.cycles]
    return Weighed(ids, rankings, rules, found.pairs, cycles, known)


def reliability_of(project: Project, people: Iterable[int]) -> dict[int, float]:
    """How probably each of these names the better of two completions, as the stored report says; those it
    does not know are left out. One query."""
    wanted = set(people)
    stored = QualityReport.objects.filter(project=project).values_list("body__by__person", flat=True).first()
    rows = {row["key"]: row.get("reliability") for row in stored or []}
    return {person: rows[person]["value"] for person in sorted(wanted) if rows.get(person)}


def letters(tiers: Sequence[Sequence[int]], ids: Sequence[int]) -> str:
    """ "B > A = C", by the letters of the page, which are places in `ids`."""
    letter = dict(zip(ids, LETTERS, strict=False))
    return " > ".join(" = ".join(sorted(letter[pk] for pk in tier)) for tier in tiers)


def _order(ids: list[int], opinion: Opinion, is_chosen: bool, chosen: Opinion) -> RuleOrder:
    by_rank: dict[int, list[int]] = {}
    for pk, rank in zip(ids, opinion.ranks, strict=True):
        if rank is not None:
            by_rank.setdefault(rank, []).append(pk)
    differs = [
        (ids[i], ids[j])
        for i in range(len(ids))
        for j in range(i + 1, len(ids))
        if _sign(opinion, i, j) != _sign(chosen, i, j)
    ]
    return RuleOrder(
        rule=opinion.rule,
        label=RULE_NAMES[opinion.rule],
        tiers=[by_rank[rank] for rank in sorted(by_rank)],
        unrankable=[pk for pk, rank in zip(ids, opinion.ranks, strict=True) if rank is None],
        opinion=opinion,
        is_chosen=is_chosen,
        differs_on=differs,
    )


def _sign(opinion: Opinion, i: int, j: int) -> int | None:
    first, second = opinion.ranks[i], opinion.ranks[j]
    if first is None or second is None:
        return None
    return (first > second) - (first < second)
