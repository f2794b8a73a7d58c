"""The consensus of a ranking task: what the rankings add up to, and what a lead makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from annotate.errors import Conflict, Forbidden, Invalid
from annotate.words import _, later
from labeling.consensus import RULE_NAMES, weigh_task
from labeling.models import Adjudication, Assignment, AssignmentStatus, Submission, Task, TaskKind

from .activity import notify, record_event
from .judgments import clean_line
from .ranking_signals import STANDING
from .review_ledger import book_settlement
from .slots import lock_task

LONGEST_NOTE = 4_000


@dataclass(frozen=True)
class Proposal:
    """An order computed from a task's rankings. `rankings` are the submissions and revisions it rests on,
    `reliability` is what was known of who made them where the rule asks for it, `others` what the other rules
    said: {rule: {"tiers", "unrankable"}}."""

    tiers: list[list[int]]
    unrankable: list[int]
    method: str
    support: float | None  # share of the people's decided pairs that it decides as they did
    rankings: list[list[int]]  # [submission id, revision]
    reliability: dict[str, float]  # by the person's id
    others: dict[str, dict[str, Any]]


def propose_consensus(task: Task, rule: str | None = None) -> Proposal:
    """What the standing rankings of a task add up to by the project's rule, or by another one (four queries).

    Raises Conflict where nobody has ranked it yet, Invalid for a task that is no ranking or an unknown rule.
    """
    if task.kind != TaskKind.RANKING:
        raise Invalid("Only rankings have a consensus.")
    if rule and rule not in RULE_NAMES:
        raise Invalid(
            _("There is no such rule. Known are %(known)s.") % {"known": ", ".join(RULE_NAMES)}, field="rule"
        )
    weighed = weigh_task(task, rule)
    if weighed is None:
        raise Conflict("Nobody has ranked this task yet.", code="no_rankings")
    chosen = weighed.chosen
    knows_people = chosen.rule in ("plackett_luce", "bradley_terry")
    return Proposal(
        tiers=chosen.tiers,
        unrankable=chosen.unrankable,
        method=chosen.rule,
        support=chosen.support,
        rankings=[[ranking.submission_id, ranking.revision] for ranking in weighed.rankings],
        reliability={str(pk): value for pk, value in weighed.reliability.items()} if knows_people else {},
        others={
            each.rule: {"tiers": each.tiers, "unrankable": each.unrankable}
            for each in weighed.rules
            if not each.is_chosen
        },
    )


@transaction.atomic
def adjudicate_task(
    *,
    task: Task,
    by,
    tiers: Sequence[Sequence[int]],
    unrankable: Sequence[int] = (),
    note: str,
    replaces: int | None = None,
    rule: str | None = None,
    active_seconds: int = 0,
) -> Adjudication:
    """Settle the order of a task's completions, with why. The people's rankings stay as they are.

    rule: whose proposal the lead began from, the project's own by default.
    replaces: the adjudication that the lead saw as standing, None for the first. Raises Conflict where
    another was made meanwhile, or while somebody ranks the task (they would be told the answer); Forbidden
    for who ranked it themselves; Invalid for an order that is not of exactly its completions, or without a
    note.
    """
    task = lock_task(task.pk)
    proposal = propose_consensus(task, rule)
    _check_free(task, by)
    note = clean_line(note, "note", LONGEST_NOTE)
    if not note:
        raise Invalid("Write why this is the order: it stays with it.", field="note")
    order = _checked_order(task, tiers, unrankable)
    standing = Adjudication.objects.filter(task=task, superseded_at=None).first()
    if (standing.pk if standing else None) != replaces:
        raise Conflict(
            _("%(who)s set another order since you opened this.") % {"who": standing.by}
            if standing
            else "It was taken back.",
            code="newer_adjudication",
            hint="Look at it, then decide.",
        )
    if standing is not None:
        Adjudication.objects.filter(pk=standing.pk).update(superseded_at=timezone.now())
    adjudication = Adjudication.objects.create(
        project=task.project,
        task=task,
        tiers=order["tiers"],
        unrankable=order["unrankable"],
        method=proposal.method,
        proposal=asdict(proposal),
        is_changed=_normal(proposal.tiers, proposal.unrankable) != _normal(**order),
        note=note,
        by=by,
    )
    record_event(
        action="task.adjudicated",
        actor=by,
        obj=task,
        project=task.project,
        adjudication=adjudication.pk,
        old=None if standing is None else {"tiers": standing.tiers, "unrankable": standing.unrankable},
        new=order,
        method=proposal.method,
        changed=adjudication.is_changed,
    )
    _tell_annotators(task, adjudication)
    book_settlement(adjudication=adjudication, task=task, claimed=active_seconds)
    return adjudication


def standing_adjudication(task: Task | None) -> Adjudication | None:
    if task is None:
        return None
    return Adjudication.objects.filter(task=task, superseded_at=None).select_related("by").first()


def _check_free(task: Task, by) -> None:
    if Submission.objects.filter(task=task, annotator=by).exists():
        raise Forbidden(
            "You ranked this task yourself.", code="own_work", hint="Another lead settles its order."
        )
    if Assignment.objects.filter(task=task, status=AssignmentStatus.LEASED).exists():
        raise Conflict(
            "Somebody is ranking this task right now.",
            code="in_work",
            hint="Settle its order when they are done.",
        )


def _checked_order(task: Task, tiers: Any, unrankable: Any) -> dict[str, list]:
    known = set(_completion_ids(task))
    if not isinstance(tiers, list | tuple) or not all(isinstance(tier, list | tuple) for tier in tiers):
        raise Invalid("Must be a list of lists.", field="tiers")
    if not isinstance(unrankable, list | tuple):
        raise Invalid("Must be a list.", field="unrankable")
    placed = [pk for tier in tiers for pk in tier] + list(unrankable)
    if not all(tiers) or len(placed) != len(known) or set(placed) != known:
        raise Invalid("Place each completion once, or mark it as one that cannot be ranked.", field="tiers")
    return {"tiers": [list(tier) for tier in tiers], "unrankable": list(unrankable)}


def _normal(tiers: Sequence[Sequence[int]], unrankable: Sequence[int]) -> tuple:
    """Within a tier the order says nothing."""
    return [sorted(tier) for tier in tiers], sorted(unrankable)


def _completion_ids(task: Task) -> list[int]:
    return list(task.task_completions.order_by("position").values_list("completion_id", flat=True))


def _tell_annotators(task: Task, adjudication: Adjudication) -> None:
    slug = task.project.slug
    rows = Submission.objects.filter(task=task, status__in=STANDING).select_related("annotator")
    for submission in rows:
        notify(
            user=submission.annotator,
            project=task.project,
            kind="task.adjudicated",
            text=later(
                "%(who)s settled the order of a task you ranked. %(note)s",
                who=adjudication.by,
                note=adjudication.note,
            ),
            path=reverse("labeling:submission_detail", args=[slug, submission.pk]),
        )
