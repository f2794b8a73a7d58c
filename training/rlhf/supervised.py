"""The loop of pretrain, sft and reward. It reads as the algorithm; what differs is the `Task`."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from torch import Tensor

from training.rlhf.batches import epoch_batches
from training.rlhf.errors import ConfigError
from training.rlhf.session import Session


class MicroLoss(NamedTuple):
    """A micro-batch's share of the batch's mean loss, and sums to be divided by their weights for metrics."""

    loss: Tensor
    sums: dict[str, tuple[float, float]]  # metric -> (sum, weight)
    tokens: int
    rows: list[int]  # which they are: one of them is named when the loss is not finite


class Task(Protocol):
    """What a supervised stage brings: rows, a loss, an evaluation, a way to save.

    `losses` are those of this process's share of the rows, each as a share of the whole batch's mean.
    """

    lengths: list[int]
    group_by_length: bool

    def losses(self, rows: list[int]) -> Iterator[MicroLoss]: ...

    def culprit(self, rows: list[int]) -> str: ...

    def evaluate(self) -> dict[str, float]: ...

    def training_mode(self, on: bool) -> None: ...

    def prepare_save(self) -> None:
        """What a checkpoint says beside the weights; where these are shared out, all processes come here."""
        ...

    def save(self, folder: Path) -> None: ...


def require_a_batch(rows: int, config) -> None:
    """ConfigError where the rows do not fill a single batch. Asked before weights are read."""
    if config.batch_size > rows:
        raise ConfigError(
            "batch_size",
            f"is {config.batch_size}, but there are only {rows} rows to learn from; lower it to "
            f"{rows} or less, or collect more",
        )


def steps_in(task: Task, config) -> int:
    """Optimizer steps of the whole run. ConfigError where the rows do not fill a single batch."""
    require_a_batch(len(task.lengths), config)
    by_epochs = config.epochs * math.ceil(len(task.lengths) / config.batch_size)
    return min(by_epochs, config.maximum_steps) if config.maximum_steps else by_epochs


def train(session: Session, task: Task) -> dict[str, float]:
    """Run to the end (or to early stopping, or SIGTERM); the metrics of the last evaluation."""
    config, per_epoch = session.config, math.ceil(len(task.lengths) / session.config.batch_size)
    batches: list[list[int]] = []
    batches_of = -1
    if session.step == 0:
        session.note(task.evaluate(), eligible=False)  # where we start from
    finished = session.state.get("finished", False) or session.step >= session.total_steps
    while not finished:
        # 1. The rows of this step follow from its number.
        step = session.begin_step()
        epoch, index = divmod(step - 1, per_epoch)
        if epoch != batches_of:
            batches = epoch_batches(
                task.lengths,
                batch_size=config.batch_size,
                seed=config.seed,
                epoch=epoch,
                group_by_length=task.group_by_length,
            )
            batches_of = epoch
        # 2. Forward and backward, micro-batch by micro-batch: each loss is its share of the batch's mean.
        metrics = _accumulate(session, task, batches[index])
        # 3. One optimizer step.
        norms = session.optimizer.step(session.rate_factor())
        metrics |= {
            "gradient_norm": norms["model"],
            "learning_rate": config.peak_rate * session.rate_factor(),
            "epoch": step / per_epoch,
        }
        session.log(metrics)
        # 4. Evaluate, stop early, save.
        improved = False
        finished = step >= session.total_steps
        if session.due_for_evaluation():
            improved = session.note(task.evaluate())
            if session.is_out_of_patience():
                session.log_lost_patience()
                finished = True
        session.state["finished"] = finished
        session.end_step(improved=improved, finished=finished)
    return session.last_metrics


def _accumulate(session: Session, task: Task, rows: list[int]) -> dict[str, float]:
    task.training_mode(True)
    started = time.monotonic()
    sums: dict[str, list[float]] = {}
    tokens = [0.0]
    with session.team.together():
        for micro in task.losses(rows):
            problem = None
            if not math.isfinite(micro.loss.item()):
                whose = task.culprit(micro.rows)
                problem = f"the training loss is not finite at step {session.step} ({whose})"
            session.team.refuse(problem)
            session.backward(micro.loss)
            tokens[0] += micro.tokens
            for name, (value, weight) in micro.sums.items():
                total = sums.setdefault(name, [0.0, 0.0])
                total[0] += value
                total[1] += weight
    together = session.team.add_up(sums | {"": tokens})
    count = together.pop("")[0]
    sums = together
    metrics = {name: value / weight for name, (value, weight) in sums.items() if weight}
    return metrics | {"tokens_per_second": count / max(time.monotonic() - started, 1e-9)}
