"""Runs as people order them.

Created, cancelled, resumed, retried. Workers are in leases, supervision and endings.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from annotate.doorbell import ring
from annotate.errors import Conflict, Invalid
from annotate.names import check_name
from annotate.words import _, in_a_sentence
from labeling.models import DatasetVersion, Project
from labeling.services.activity import record_event
from training.models import FollowUpStatus, RunInput, RunStatus, Stage, TrainingRun

from .batch_sizes import fitted_batch_size
from .endings import EXECUTE, FOLLOW_UP
from .evaluations import fitted_answers
from .event_log import append_event
from .exports import check_export
from .follow_up_plans import check_follow_up
from .hyperparameters import check_hyperparameters, check_typed_template, preset_values
from .inputs import check_inputs, check_labels, check_options, check_texts
from .leases import note_ring
from .locations import check_base_model
from .long_prompts import refuse_long_prompts
from .machines import check_device
from .orders import Order, keep
from .row_checks import check_rows


def create_run(
    *,
    project: Project,
    stage: str,
    hyperparameters: dict[str, Any],
    inputs: dict[str, Any],
    acting_user,
    name: str = "",
    preset: str = "",
    base_model: str = "",
    options: dict[str, Any] | None = None,
    follow_up: dict[str, Any] | None = None,
    order: Order | None = None,
) -> TrainingRun:
    """A queued run. `inputs`: {role: DatasetVersion | Checkpoint | list of them} (services/inputs.py).

    `hyperparameters` override those of `preset`, which override the defaults. Raises Invalid naming the field
    and what it may be. `order`: see services/orders.py.
    """
    name = check_name(name)
    checked, base_model, checked_options = check_run(
        project=project,
        stage=stage,
        hyperparameters=hyperparameters,
        inputs=inputs,
        preset=preset,
        base_model=base_model,
        options=options,
    )
    return _queue_new(
        project=project,
        stage=stage,
        checked=checked,
        chosen=hyperparameters,
        inputs=inputs,
        base_model=base_model,
        options=checked_options,
        follow_up=follow_up or {},
        acting_user=acting_user,
        name=name,
        preset=preset,
        order=order,
    )


def check_run(
    *,
    project: Project,
    stage: str,
    hyperparameters: dict[str, Any],
    inputs: dict[str, Any],
    preset: str = "",
    base_model: str = "",
    options: dict[str, Any] | None = None,
) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """(hyperparameters, base model, options) as such a run has them. Raises as create_run.

    It reads files and has prompts counted, so it is asked before anything is locked, of several runs that are
    made in one transaction, too: what it has found is remembered.
    """
    if stage not in Stage.values:
        raise Invalid(_("A stage is one of %(known)s.") % {"known": ", ".join(Stage.values)}, field="stage")
    values = preset_values(project, stage, preset) if preset else {}
    checked = check_hyperparameters(stage, {**values, **hyperparameters})
    check_device(checked)
    check_typed_template(checked)
    base_model = check_base_model(base_model) if base_model else ""
    checked_options = check_options(project, stage, options or {})
    check_texts(stage, checked, checked_options)
    looked_at = check_inputs(
        project=project, stage=stage, inputs=inputs, base_model=base_model, options=checked_options
    )
    check_labels(checked, looked_at)
    check_rows(stage, checked, looked_at)
    refuse_long_prompts(stage, checked, looked_at, base_model=base_model, options=checked_options)
    return checked, base_model, checked_options


@transaction.atomic
def _queue_new(
    *,
    project: Project,
    stage: str,
    checked: dict[str, Any],
    chosen: dict[str, Any],
    inputs: dict[str, Any],
    base_model: str,
    options: dict[str, Any],
    follow_up: dict[str, Any],
    acting_user,
    name: str,
    preset: str,
    order: Order | None,
) -> TrainingRun:
    # Numbers are given out one at a time, and no checkpoint is removed between this look and the last line.
    Project.objects.select_for_update().get(pk=project.pk)
    sources = check_inputs(
        project=project, stage=stage, inputs=inputs, base_model=base_model, options=options
    )
    check_export(stage, checked, sources)
    checked |= fitted_answers(stage, checked, chosen=chosen, sources=sources)
    checked |= fitted_batch_size(stage, checked, chosen=chosen, sources=sources)
    last = TrainingRun.objects.filter(project=project).aggregate(last=Max("number"))["last"] or 0
    run = TrainingRun.objects.create(
        project=project,
        number=last + 1,
        name=name[:120],
        stage=stage,
        preset=preset,
        hyperparameters=checked,
        base_model=base_model,
        options=options,
        follow_up=check_follow_up(project, stage, follow_up),
        created_by=acting_user,
    )
    for role, source in sources:
        field = "dataset_version" if isinstance(source, DatasetVersion) else "checkpoint"
        RunInput.objects.create(run=run, role=role, **{field: source})
    keep(order, run)
    append_event(run.pk, type="state", data={"state": "queued"})
    record_event(
        action="run.created", actor=acting_user, obj=run, project=project, stage=stage, number=run.number
    )
    ring_for(run)
    return run


def ring_for(run: TrainingRun) -> None:
    """Ring a worker once this is committed. A broker that is away costs nothing: the sweeper rings again."""
    transaction.on_commit(partial(_ring, run.pk))


def _ring(run_id) -> None:
    if ring(EXECUTE, str(run_id)):
        note_ring(run_id)


@transaction.atomic
def cancel_run(*, run: TrainingRun, acting_user) -> TrainingRun:
    """queued → cancelled at once.

    A running one is asked to stop and keeps its last checkpoint. Raises Conflict.
    """
    asked = {"cancel_requested_at": Now(), "cancel_requested_by": acting_user}
    if (
        TrainingRun.objects.queued()
        .filter(pk=run.pk)
        .update(status=RunStatus.CANCELLED, finished_at=Now(), **asked)
    ):
        append_event(run.pk, type="state", data={"state": "cancelled"})
    elif TrainingRun.objects.running().filter(pk=run.pk, cancel_requested_at=None).update(**asked):
        append_event(
            run.pk, type="log", data={"message": "Somebody asked to cancel; the run stops at its next step."}
        )
    elif TrainingRun.objects.running().filter(pk=run.pk).exists():
        run.refresh_from_db()
        return run  # asked before: nothing to add
    else:
        run.refresh_from_db()
        state = in_a_sentence(run.get_status_display())
        raise Conflict(_("This run has ended already: %(state)s.") % {"state": state}, code="run_ended")
    run.refresh_from_db()
    record_event(action="run.cancel_requested", actor=acting_user, obj=run, project=run.project)
    return run


@transaction.atomic
def resume_run(*, run: TrainingRun, acting_user) -> TrainingRun:
    """cancelled → queued: goes on from its last checkpoint. Raises Conflict."""
    return _queue_again(
        run, RunStatus.CANCELLED, "run.resumed", "Only a cancelled run can be resumed.", acting_user
    )


@transaction.atomic
def retry_run(*, run: TrainingRun, acting_user) -> TrainingRun:
    """failed → queued: goes on from its last checkpoint, or starts again where there is none.

    Raises Conflict.
    """
    return _queue_again(
        run, RunStatus.FAILED, "run.retried", "Only a failed run can be retried.", acting_user
    )


def _queue_again(run: TrainingRun, status: RunStatus, action: str, refusal: str, acting_user) -> TrainingRun:
    moved = TrainingRun.objects.filter(pk=run.pk, status=status).update(
        status=RunStatus.QUEUED,
        cancel_requested_at=None,
        cancel_requested_by=None,
        failures_in_a_row=0,
        finished_at=None,
        error_code="",
        error_message="",
        rung_at=None,
        ring_count=0,
    )
    run.refresh_from_db()
    if moved != 1:
        raise Conflict(
            refusal,
            code="run_status",
            hint=_("This one is %(state)s.") % {"state": in_a_sentence(run.get_status_display())},
        )
    append_event(run.pk, type="state", data={"state": "queued", "message": "Queued again."})
    record_event(action=action, actor=acting_user, obj=run, project=run.project)
    ring_for(run)
    return run


@transaction.atomic
def retry_follow_up(*, run: TrainingRun, acting_user) -> TrainingRun:
    """Try again what should have happened after the run. Raises Conflict."""
    moved = TrainingRun.objects.filter(pk=run.pk, follow_up_status=FollowUpStatus.FAILED).update(
        follow_up_status=FollowUpStatus.WAITING, follow_up_message="", follow_up_lease_expires_at=None
    )
    run.refresh_from_db()
    if moved != 1:
        raise Conflict("There is nothing to try again.", code="follow_up_status")
    record_event(action="run.follow_up_retried", actor=acting_user, obj=run, project=run.project)
    transaction.on_commit(partial(ring, FOLLOW_UP, str(run.pk)))
    return run


# What people may do to a run that is there, by the name that its page and the command know.
CHANGES: dict[str, Callable[..., TrainingRun]] = {
    "cancel": cancel_run,
    "resume": resume_run,
    "retry": retry_run,
    "retry_follow_up": retry_follow_up,
}
