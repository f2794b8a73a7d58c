"""Completions from checkpoints, in one step.

A sample run that hands back what it wrote, and perhaps a ranking batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from annotate.errors import Invalid
from labeling.models import DatasetVersion, Project, Prompt
from training.models import Checkpoint, RunInputRole, Stage, TrainingRun

from .orders import Order
from .row_checks import refuse_empty_splits
from .runs import create_run


def sample_completions(
    *,
    project: Project,
    checkpoints: Sequence[Checkpoint],
    prompts: DatasetVersion | Iterable[Prompt | int],
    completions_per_prompt: int,
    acting_user,
    temperature: float = 1.0,
    splits: Sequence[str] = ("train",),
    batch_plan: dict[str, Any] | None = None,
    name: str = "",
    preset: str = "",
    sampling: dict[str, Any] | None = None,
    order: Order | None = None,
    **more: Any,
) -> TrainingRun:
    """A queued sample run: each checkpoint answers each prompt `completions_per_prompt` times.

    `prompts`: splits of a dataset version, or prompts of the project (or their numbers). With `batch_plan`
    (services/follow_up_plans.py) a ranking batch is made when the answers are there. `sampling` and further
    keywords are hyperparameters (top_p, max_new_tokens, seed, …). Raises Invalid.
    """
    if not checkpoints:
        raise Invalid("Choose at least one checkpoint.", field="checkpoints")
    inputs: dict[str, Any] = {RunInputRole.SAMPLE_FROM: list(checkpoints)}
    options: dict[str, Any] = {}
    if isinstance(prompts, DatasetVersion):
        refuse_empty_splits(prompts, splits, field="splits")
        inputs[RunInputRole.PROMPTS] = prompts
        options["splits"] = list(splits)
    else:
        options["prompt_ids"] = [prompt.pk if isinstance(prompt, Prompt) else prompt for prompt in prompts]
        if not options["prompt_ids"]:
            raise Invalid("There are no prompts to answer.", field="prompts")
    follow_up: dict[str, Any] = {"record": True}
    if batch_plan is not None:
        follow_up["ranking_batch"] = batch_plan
    return create_run(
        project=project,
        stage=Stage.SAMPLE,
        name=name,
        preset=preset,
        hyperparameters={
            "completions_per_prompt": completions_per_prompt,
            "temperature": temperature,
            **(sampling or {}),
            **more,
        },
        inputs=inputs,
        options=options,
        follow_up=follow_up,
        acting_user=acting_user,
        order=order,
    )
