"""Rounds: one turn of the loop, moved on by the sweeper, by commands and by people, however often and at
once.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Max, Q
from django.db.models.functions import Now
from django.urls import reverse

from annotate.doorbell import ring
from annotate.errors import Conflict, DomainError
from annotate.words import _, in_a_sentence, later
from labeling.models import DatasetVersionStatus, Project
from labeling.services.activity import notify, record_event
from training.models import (
    FollowUpStatus,
    Round,
    RoundStatus,
    RoundStep,
    RoundStepKind,
    RoundStepStatus,
    RunStatus,
    TrainingRun,
)

from .orders import Order, keep
from .round_plans import RoundPlan
from .round_steps import FREEZERS, NEEDED_VERSIONS, STARTERS, StepContext, freeze, look
from .runs import cancel_run, resume_run, retry_follow_up, retry_run

log = structlog.get_logger(__name__)
LEASE = timedelta(seconds=120)
ADVANCE = "training.tasks.advance_round"
AGAIN = (RoundStepKind.SAMPLE_AGAIN, RoundStepKind.RANK_AGAIN)


@transaction.atomic
def create_round(*, project: Project, plan: dict[str, Any], acting_user, order: Order | None = None) -> Round:
    """A round under way, with all its steps. Raises Invalid naming the entry of the plan."""
    Project.objects.select_for_update().get(pk=project.pk)  # no checkpoint of the plan is removed meanwhile
    checked = RoundPlan.from_json(plan, project)
    last = Round.objects.filter(project=project).aggregate(last=Max("number"))["last"] or 0
    round = Round.objects.create(
        project=project, number=last + 1, plan=checked.to_json(), created_by=acting_user
    )
    keep(order, round)
    left_out = set(AGAIN) if checked.again_prompts == 0 else set()
    if checked.demonstration_prompts == 0:
        left_out.add(RoundStepKind.DEMONSTRATE)
    RoundStep.objects.bulk_create(
        RoundStep(
            round=round,
            kind=kind,
            position=position,
            is_automatic=kind not in checked.by_hand,
            status=RoundStepStatus.SKIPPED if kind in left_out else RoundStepStatus.WAITING,
        )
        for position, kind in enumerate(RoundStepKind, start=1)
    )
    record_event(action="round.created", actor=acting_user, obj=round, project=project, number=round.number)
    transaction.on_commit(partial(ring, ADVANCE, round.pk))
    return round


def advance_round(*, round_id: int) -> bool:
    """Move a round on as far as it goes by itself. False where it has ended, or somebody else is at it right
    now.

    Safe to call at any time and from anywhere: a lease lets one caller in, and each step is started once.
    """
    free = Q(advancing_until=None) | Q(advancing_until__lt=Now())
    mine = Round.objects.filter(pk=round_id, status=RoundStatus.RUNNING)
    if mine.filter(free).update(advancing_until=Now() + LEASE) != 1:
        return False
    try:
        round = Round.objects.select_related("project", "created_by").get(pk=round_id)
        while _advance_once(round):
            mine.update(advancing_until=Now() + LEASE)
    finally:
        Round.objects.filter(pk=round_id).update(advancing_until=None)
    return True


def _advance_once(round: Round) -> bool:
    """One move; True if another may follow."""
    unfinished = round.steps.exclude(status__in=[RoundStepStatus.DONE, RoundStepStatus.SKIPPED])
    step = unfinished.select_related("batch", "dataset_version__dataset", "run").order_by("position").first()
    if step is None:
        _finish(round)
        return False
    if step.status == RoundStepStatus.WAITING:
        if step.is_automatic:
            return _start(round, step)
        _make_ready(round, step)
        return False
    if step.status != RoundStepStatus.ACTIVE:
        return False  # ready or failed: a person's turn
    if step.kind in FREEZERS and step.dataset_version is None:
        return _freeze(round, step)
    return _note(round, step)


def start_step(*, step: RoundStep, acting_user) -> RoundStep:
    """Start a step that is ready, or try a failed one again. Raises Conflict, or what its start raises."""
    round = step.round
    if round.status != RoundStatus.RUNNING:
        raise Conflict("This round has ended.", code="round_ended")
    if step.status not in (RoundStepStatus.READY, RoundStepStatus.FAILED):
        raise Conflict(
            _("This step is not waiting for you: %(state)s.")
            % {"state": in_a_sentence(step.get_status_display())},
            code="step_status",
        )
    was = step.status
    with transaction.atomic():
        record_event(
            action="round.step_started",
            actor=acting_user,
            obj=step,
            project=round.project,
            kind=step.kind,
            was=was,
        )
        if was == RoundStepStatus.FAILED and step.run is not None and _retry(step.run, acting_user):
            _move(step, was, RoundStepStatus.ACTIVE, message="", finished_at=None)
        else:
            # What was made and failed stays where it is; the step makes a new one.
            _move(
                step, was, RoundStepStatus.WAITING, message="", batch=None, run=None, dataset_version=None,
                is_automatic=True, finished_at=None,
            )  # fmt: skip
    advance_round(round_id=round.pk)
    step.refresh_from_db()
    return step


def _retry(run: TrainingRun, acting_user) -> bool:
    """Take up the step's own run where it stopped; False where there is nothing to take up."""
    if run.status == RunStatus.FAILED:
        retry_run(run=run, acting_user=acting_user)
    elif run.status == RunStatus.CANCELLED:
        resume_run(run=run, acting_user=acting_user)
    elif run.follow_up_status == FollowUpStatus.FAILED:
        retry_follow_up(run=run, acting_user=acting_user)
    else:
        return run.status in (RunStatus.QUEUED, RunStatus.RUNNING)  # somebody took it up by hand already
    return True


@transaction.atomic
def cancel_round(*, round: Round, acting_user) -> Round:
    """End a round: its run under way is cancelled, what people and runs have made stays. Raises Conflict."""
    moved = Round.objects.filter(pk=round.pk, status=RoundStatus.RUNNING).update(
        status=RoundStatus.CANCELLED, finished_at=Now()
    )
    round.refresh_from_db()
    if moved != 1:
        raise Conflict("This round has ended already.", code="round_ended")
    for step in round.steps.filter(status=RoundStepStatus.ACTIVE).select_related("run"):
        if step.run is not None and not step.run.is_terminal:
            cancel_run(run=step.run, acting_user=acting_user)
    record_event(action="round.cancelled", actor=acting_user, obj=round, project=round.project)
    return round


# --- Moves of one step --------------------------------------------------------------------------------------
def _start(round: Round, step: RoundStep) -> bool:
    try:
        if step.kind in NEEDED_VERSIONS:
            version = freeze(StepContext(round), NEEDED_VERSIONS[step.kind])
            if version.status != DatasetVersionStatus.READY:
                return False  # a large one is written in the background; looked at again in the next sweep
        with transaction.atomic():
            made = {} if step.kind in FREEZERS else STARTERS[step.kind](StepContext(round))
            _move(step, RoundStepStatus.WAITING, RoundStepStatus.ACTIVE, started_at=Now(), **made)
    except DomainError as error:
        _fail(round, step, error.message)
        return False
    return True


def _freeze(round: Round, step: RoundStep) -> bool:
    try:
        version = freeze(StepContext(round), FREEZERS[step.kind])
    except DomainError as error:
        _fail(round, step, error.message)
        return False
    RoundStep.objects.filter(pk=step.pk, status=RoundStepStatus.ACTIVE).update(dataset_version=version)
    return True


def _note(round: Round, step: RoundStep) -> bool:
    seen = look(step)
    if seen.problem:
        _fail(round, step, seen.problem)
    elif seen.is_done:
        with transaction.atomic():
            _move(step, RoundStepStatus.ACTIVE, RoundStepStatus.DONE, finished_at=Now(), message="")
            record_event(
                action="round.step_done",
                actor=None,
                obj=step,
                project=round.project,
                kind=step.kind,
                round=round.number,
            )
        return True
    return False


@transaction.atomic
def _make_ready(round: Round, step: RoundStep) -> None:
    _move(step, RoundStepStatus.WAITING, RoundStepStatus.READY)
    _tell(
        round,
        later(
            "%(round)s: “%(step)s” waits for you to start it.",
            round=round,
            step=RoundStepKind(step.kind).label,
        ),
    )


@transaction.atomic
def _fail(round: Round, step: RoundStep, message: str) -> None:
    _move(step, step.status, RoundStepStatus.FAILED, message=message[:300], finished_at=Now())
    record_event(
        action="round.step_failed",
        actor=None,
        obj=step,
        project=round.project,
        kind=step.kind,
        message=message[:300],
    )
    _tell(
        round,
        later(
            "%(round)s: “%(step)s” has failed: %(problem)s",
            round=round,
            step=RoundStepKind(step.kind).label,
            problem=message,
        ),
    )


@transaction.atomic
def _finish(round: Round) -> None:
    if Round.objects.filter(pk=round.pk, status=RoundStatus.RUNNING).update(
        status=RoundStatus.DONE, finished_at=Now()
    ):
        record_event(action="round.done", actor=None, obj=round, project=round.project, number=round.number)
        _tell(round, later("%(round)s is done.", round=round))


def _move(step: RoundStep, was: str, to: str, **values: Any) -> None:
    """Conditional on the status that was seen.

    Raises Conflict, which rolls the caller back, if it has changed.
    """
    if RoundStep.objects.filter(pk=step.pk, status=was).update(status=to, **values) != 1:
        raise Conflict("Somebody else has just moved this step.", code="step_status")
    step.refresh_from_db()


def _tell(round: Round, text: str) -> None:
    if round.created_by is not None:
        path = reverse("training:round_detail", kwargs={"slug": round.project.slug, "number": round.number})
        notify(user=round.created_by, kind="round.changed", text=text, path=path, project=round.project)
