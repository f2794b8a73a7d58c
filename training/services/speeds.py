"""How fast former runs went, from what they told while they ran: how long the next one may take."""

from __future__ import annotations

import statistics

from django.urls import reverse

from labeling.models import DatasetKind, Project
from labeling.services.export_encoders import Speed
from training.models import RunInputRole, RunStatus, Stage, TrainingRun

TIMED = "seconds_are_of_episodes"
LOOKED_AT = 20  # runs, the newest that succeeded
STAGE_OF: dict[str, Stage] = {
    DatasetKind.SFT: Stage.SFT,
    DatasetKind.COMPARISON: Stage.REWARD,
    DatasetKind.PROMPTS: Stage.PPO,
}


def speeds_of(project: Project, kind: str, model: str) -> list[Speed]:
    """Of the newest runs that succeeded in the stage which reads datasets of `kind`; those that told no speed
    are left out. Two queries and one for each run."""
    if kind not in STAGE_OF:  # completions without an order, which no run reads
        return []
    runs = TrainingRun.objects.filter(
        project=project, stage=STAGE_OF[kind], status=RunStatus.SUCCEEDED
    ).prefetch_related("inputs")
    found = []
    for run in runs.order_by("-finished_at", "-number")[:LOOKED_AT]:
        speed = _answering(run) if run.stage == Stage.PPO else _learning(run)
        if speed:
            found.append(
                Speed(
                    name=f"{run} ({run.number})" if run.name else str(run),
                    path=reverse("training:run_detail", args=[project.slug, run.number]),
                    per_second=speed,
                    unit="prompts" if run.stage == Stage.PPO else "tokens",
                    epochs=float(run.hyperparameters.get("epochs") or 1),
                    is_same_model=_starts_from(run, model),
                )
            )
    return found


def _learning(run: TrainingRun) -> float:
    """Tokens a second: the median over the steps, so that the first ones and pauses weigh little."""
    rows = run.events.filter(type="metrics").values_list("data", flat=True)
    told = [data.get("tokens_per_second") for data in rows.iterator(chunk_size=2_000)]
    numbers = [float(each) for each in told if isinstance(each, int | float) and each > 0]
    return statistics.median(numbers) if numbers else 0.0


def _answering(run: TrainingRun) -> float:
    """Prompts a second: what a PPO run answered and learnt from, over the seconds it says that took."""
    seconds = sum(
        float(value)
        for name, value in run.metrics.items()
        if name.startswith("seconds_") and name != TIMED and isinstance(value, int | float)
    )
    # A run that was gone on with tells the seconds of its last start.
    episodes = run.metrics.get(TIMED, run.metrics.get("episodes"))
    return float(episodes) / seconds if seconds and isinstance(episodes, int | float) else 0.0


def _starts_from(run: TrainingRun, model: str) -> bool:
    started = [str(each.checkpoint_id) for each in run.inputs.all() if each.role == RunInputRole.MODEL]
    return model in (*started, run.base_model, run.base_model.rstrip("/").rpartition("/")[2] or None)
