"""What happens by itself after a run: completions handed back to labeling, a ranking batch made of them, a
sample run; a reward model's scores of what people rank.

Each part is safe to repeat: completions carry a source key, and what is created is created in the same commit
that marks the follow-up as done. So a worker may die at any line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse

from annotate.errors import Conflict, DomainError, Invalid
from annotate.words import _, later
from labeling.models import Batch, DatasetVersion, Layout
from labeling.services.activity import notify
from labeling.services.batches import completion_sets_for, create_ranking_batch
from labeling.services.completions import record_completions
from labeling.services.scores import contradicted_by_models, record_scores
from training.follow_up_words import (
    COMPARISON_WAITS,
    COMPLETIONS,
    COMPLETIONS_IN_BATCH,
    EVALUATIONS,
    MEASURED,
    MEASURING,
    SAMPLING,
    SCORES,
    SCORING,
)
from training.models import Checkpoint, FollowUpStatus, RunInputRole, RunStatus, Stage, TrainingRun

from .checkpoints import best_of, has_none_within_budget, kl_budget_of
from .continuations import continuation_of, start_evaluations
from .event_log import append_event
from .follow_up_plans import COMPARE, MEASURED_TOO
from .learning_curves import measure
from .live import announce
from .locations import checkpoint_directory, run_directory
from .sampling import sample_completions
from .scoring import reward_model_of, score_completions

log = structlog.get_logger(__name__)
LEASE = timedelta(seconds=120)
CHUNK = 2_000


def due_follow_ups():
    """Succeeded runs whose follow-up waits and that nobody is doing right now."""
    return TrainingRun.objects.filter(
        status=RunStatus.SUCCEEDED, follow_up_status=FollowUpStatus.WAITING
    ).filter(Q(follow_up_lease_expires_at=None) | Q(follow_up_lease_expires_at__lt=Now()))


def finish_follow_up(*, run_id) -> bool:
    """Do what follows a run, if it waits and nobody else is at it. True if this call did it."""
    if due_follow_ups().filter(pk=run_id).update(follow_up_lease_expires_at=Now() + LEASE) != 1:
        return False
    run = TrainingRun.objects.select_related("project", "created_by").get(pk=run_id)
    try:
        if COMPARE in run.follow_up:
            _start_comparison(run)
        elif set(run.follow_up) == {MEASURED_TOO}:
            with transaction.atomic():
                measuring = measure(run)
                _done(run, MEASURING % {"run": measuring})
        elif run.stage == Stage.SAMPLE:
            _hand_back_completions(run)
        elif run.stage == Stage.SCORE:
            _hand_back_scores(run)
        elif run.stage == Stage.REWARD:
            _start_scoring(run)
        else:
            _start_sampling(run)
    except DomainError as error:
        _fail(run, error.message)
    announce(run.pk)
    return True


def _start_sampling(run: TrainingRun) -> None:
    plan = dict(run.follow_up["sample"])
    version_id, prompt_ids = plan.pop("prompts_version", None), plan.pop("prompt_ids", None)
    checkpoint = best_checkpoint(run)
    with transaction.atomic():
        _measure_too(run)
        prompts = DatasetVersion.objects.get(pk=version_id) if version_id else prompt_ids
        sampling = sample_completions(
            project=run.project,
            checkpoints=[checkpoint],
            prompts=prompts,
            completions_per_prompt=plan.pop(
                "completions_per_prompt", run.project.settings.completions_per_task
            ),
            splits=plan.pop("splits", ("train",)),
            batch_plan=plan.pop("ranking_batch", None),
            acting_user=run.created_by,
            **plan,
        )
        _done(run, SAMPLING % {"run": sampling}, sample_run=sampling.number)


def _start_scoring(run: TrainingRun) -> None:
    """Where there is nothing to score, that is no failure."""
    checkpoint = best_checkpoint(run)
    with transaction.atomic():
        _measure_too(run)
        try:
            scoring = score_completions(
                project=run.project, checkpoint=checkpoint, acting_user=run.created_by
            )
        except Conflict as conflict:
            _done(run, conflict.message)
        else:
            _done(run, SCORING % {"run": scoring}, score_run=scoring.number)


def _measure_too(run: TrainingRun) -> None:
    if MEASURED_TOO in run.follow_up:
        measure(run)


def _start_comparison(run: TrainingRun) -> None:
    """Of a pair the run that ends last has both measured; the other one only says that it waits."""
    with transaction.atomic():
        pair = continuation_of(run)
        other = pair.onward if run.pk == pair.anew.pk else pair.anew
        made = start_evaluations(pair, run.created_by)
        if made:
            message = EVALUATIONS % {"n": len(made)}
        elif other.status == RunStatus.SUCCEEDED:
            message = MEASURED
        else:
            message = COMPARISON_WAITS % {"number": other.number}
        _done(run, message, evaluations=[each.number for each in made])


def best_checkpoint(run: TrainingRun | None) -> Checkpoint:
    """What is used of a run.

    Its best checkpoint, else its final one, else its newest; under a KL budget only what is within it.
    Raises Invalid if it has none, and where a step of a round has no run.
    """
    if run is None:
        raise Invalid("This step of the round has no run.", code="no_run")
    found = best_of(run)
    if found is None and has_none_within_budget(run):
        raise Invalid(
            _(
                "No checkpoint of %(run)s stayed within its KL budget of %(budget)s nats, so none is taken "
                "by itself. Choose one by its step, or train again: slower, or with evaluate_every."
            )
            % {"run": run, "budget": f"{kl_budget_of(run):g}"},
            code="over_kl_budget",
        )
    if found is None:
        raise Invalid(_("%(run)s has no checkpoint.") % {"run": run}, code="no_checkpoint")
    return found


# --- Sample runs --------------------------------------------------------------------------------------------
def _hand_back_completions(run: TrainingRun) -> None:
    ids: list[int] = []
    for chunk in _chunks(_completion_rows(run)):
        ids += record_completions(project=run.project, rows=chunk, acting_user=run.created_by)
        _go_on(run)
    plan = run.follow_up.get("ranking_batch")
    with transaction.atomic():
        if not plan:
            _done(run, COMPLETIONS % {"n": f"{len(ids):,}"}, completions=len(ids))
            return
        batch = _ranking_batch(run, plan)
        _done(
            run,
            COMPLETIONS_IN_BATCH % {"n": f"{len(ids):,}", "batch": batch.name},
            completions=len(ids),
            batch=batch.pk,
        )


def _hand_back_scores(run: TrainingRun) -> None:
    """Chunk by chunk, each a commit of its own: doing it again adds nothing."""
    checkpoint = reward_model_of(run)
    added = 0
    for chunk in _chunks(_score_rows(run)):
        added += record_scores(
            project=run.project,
            scorer_key=checkpoint.pk,
            scorer_name=str(checkpoint),
            rows=chunk,
            acting_user=run.created_by,
        )
        _go_on(run)
    waiting = contradicted_by_models(run.project).count()
    with transaction.atomic():
        _done(
            run,
            SCORES % {"n": f"{added:,}", "waiting": waiting},
            scores=added,
            contradicted=waiting,
        )


def _score_rows(run: TrainingRun) -> Iterator[dict[str, Any]]:
    try:
        file = open(run_directory(run) / "scores.jsonl", encoding="utf-8")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        raise Invalid("The run left no scores.", code="no_scores") from None
    with file:
        for line in file:
            yield json.loads(line)


def _ranking_batch(run: TrainingRun, plan: dict[str, Any]) -> Batch:
    sets = completion_sets_for(project=run.project, run_key=run.pk, size=plan["size"])
    return create_ranking_batch(
        project=run.project,
        name=plan["name"] or f"Ranking of {run}",
        completion_sets=sets,
        layout=plan.get("layout") or Layout.RANKING,  # plans from before there were layouts
        overlap=plan["overlap"],
        review_rate=plan["review_rate"],
        priority=plan["priority"],
        acting_user=run.created_by,
        source={"run": str(run.pk), "run_number": run.number},
    )


def _completion_rows(run: TrainingRun) -> Iterator[dict[str, Any]]:
    """Rows of completions.jsonl as labeling takes them."""
    by_folder = {
        str(checkpoint_directory(row.checkpoint)): row.checkpoint
        for row in run.inputs.filter(role=RunInputRole.SAMPLE_FROM).select_related("checkpoint__run")
        if row.checkpoint is not None
    }
    path = run_directory(run) / "completions.jsonl"
    try:
        file = open(path, encoding="utf-8")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        raise Invalid("The run left no completions.", code="no_completions") from None
    settings = {name: run.hyperparameters.get(name) for name in ("temperature", "top_p", "max_new_tokens")}
    with file:
        for line in file:
            row = json.loads(line)
            checkpoint = by_folder[row["checkpoint"]]
            yield {
                "prompt_id": row["prompt_id"],
                "text": row["text"].replace("\x00", ""),
                "generator": str(checkpoint)[:120],
                "checkpoint_key": checkpoint.pk,
                "run_key": run.pk,
                "sampling": {
                    **settings,
                    "seed": row.get("seed"),
                    "finish_reason": row.get("finish_reason"),
                    "token_count": row.get("token_count"),
                },
                "source_key": f"{run.pk}:{row['prompt_id']}:{checkpoint.pk}:{row['completion_index']}",
            }


def _chunks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _go_on(run: TrainingRun) -> None:
    """Say that somebody is still at it, so that nobody else begins."""
    TrainingRun.objects.filter(pk=run.pk, follow_up_status=FollowUpStatus.WAITING).update(
        follow_up_lease_expires_at=Now() + LEASE
    )


# --- How it ended -------------------------------------------------------------------------------------------
def _done(run: TrainingRun, message: str, **facts: Any) -> None:
    """In the caller's transaction. Raises RuntimeError, which rolls back, if somebody else was faster."""
    moved = TrainingRun.objects.filter(pk=run.pk, follow_up_status=FollowUpStatus.WAITING).update(
        follow_up_status=FollowUpStatus.DONE, follow_up_message=message[:300], follow_up_lease_expires_at=None
    )
    if moved != 1:
        raise RuntimeError(f"the follow-up of run {run.pk} was done by somebody else meanwhile")
    append_event(run.pk, type="log", data={"message": message, **facts})


@transaction.atomic
def _fail(run: TrainingRun, message: str) -> None:
    moved = TrainingRun.objects.filter(pk=run.pk, follow_up_status=FollowUpStatus.WAITING).update(
        follow_up_status=FollowUpStatus.FAILED,
        follow_up_message=message[:300],
        follow_up_lease_expires_at=None,
    )
    if moved and run.created_by is not None:
        append_event(run.pk, type="log", data={"message": f"What should follow did not work: {message}"})
        path = reverse("training:run_detail", kwargs={"slug": run.project.slug, "number": run.number})
        text = later(
            "%(run)s has succeeded, but what should follow did not work: %(problem)s",
            run=run,
            problem=message,
        )
        notify(user=run.created_by, kind="run.follow_up_failed", text=text, path=path, project=run.project)
    log.info("follow_up_failed", run=str(run.pk), reason=message)
