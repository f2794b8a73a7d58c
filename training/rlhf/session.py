"""What every training stage shares: device, randomness, checkpoints, best metric, resume.

Exactness: before each step all randomness is seeded from (seed, step), and everything else that a step
depends on is in the checkpoint. So a run that was killed continues from its last whole checkpoint bit for
bit on the CPU.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import save_file
from torch import Tensor, nn

from training.rlhf import checkpoints
from training.rlhf.culprits import bad_tensor
from training.rlhf.devices import NO_GPU
from training.rlhf.disk import told_of_the_disk
from training.rlhf.errors import CheckpointError, ConfigError, InterruptedRun, NonFiniteError
from training.rlhf.loss_scale import LossScale
from training.rlhf.optim import Optimizer, schedule_factor
from training.rlhf.run import Run
from training.rlhf.sharding import Sharding, check_launcher
from training.rlhf.team import Team, neighbours, own_rank

STATE, OPTIMIZER = "trainer_state.json", "optimizer.safetensors"
# What a crash may cost: a run saves at least this often, unless saving would take over 5 % of its time.
LONGEST_UNSAVED_SECONDS, SAVING_SHARE = 60.0, 0.05


def open_accelerator(config: Any, *, in_team: bool = False, can_shard: bool = False) -> Accelerator:
    """Device and precision; sets the number of CPU threads of the process. `in_team`: the stage can share its
    work with other processes; `can_shard`: its weights, too.
    """
    check_launcher(can_shard=can_shard)
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device", NO_GPU)  # a driver may be there, but no torch that knows it
    if AcceleratorState._shared_state:
        # accelerate keeps its settings for the life of a process; a second stage in it may need others.
        AcceleratorState._reset_state(reset_partial_state=True)
    torch.set_num_threads(config.threads or max(1, len(os.sched_getaffinity(0)) // neighbours()))
    mixed = "no" if config.precision == "fp32" else config.precision
    try:
        accelerator = Accelerator(cpu=config.device == "cpu", mixed_precision=mixed)
    except ValueError as error:
        raise ConfigError(
            "precision", f"is {config.precision}, which this device does not have: use fp16 on a GPU, or fp32"
        ) from error
    # accelerate leaves fp16 out on the CPU, without a word; torch can do it, slowly.
    accelerator.native_amp = mixed != "no"
    if accelerator.num_processes > 1 and not in_team:
        raise ConfigError(
            "device",
            f"this stage runs in one process, not {accelerator.num_processes}: start it without a launcher",
        )
    if accelerator.num_processes == 1 and own_rank() > 0:
        raise ConfigError("device", "RANK is set, but the processes did not find one another")
    return accelerator


def derived_seed(*parts: object) -> int:
    """A seed below 2**63 that depends on all parts, and on nothing else."""
    raw = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(raw[:8], "big") >> 1


class Session:
    """The state of one training run; `state` is plain JSON and goes into each checkpoint."""

    def __init__(
        self,
        run: Run,
        config: Any,
        accelerator: Accelerator,
        *,
        kind: str,
        base: str,
        modules: dict[str, nn.Module],
        rates: dict[str, float],
        total_steps: int,
        save_models: Callable[[Path], None],
        best: tuple[str, str],
        prepare_save: Callable[[], None] = lambda: None,
        sharding: Sharding | None = None,
    ) -> None:
        self.run, self.config, self.accelerator = run, config, accelerator
        self.team = Team(accelerator)
        if self.team.size > 1:
            run.log(f"{self.team.size} processes share the work")
        self.kind, self.base, self.total_steps = kind, base, total_steps
        self.modules = {name: module.to(accelerator.device) for name, module in modules.items()}
        self.loss_scale = LossScale(active=config.precision == "fp16")
        self.optimizer = Optimizer(self.modules, rates, config, self.team, self.loss_scale)
        self.state: dict[str, Any] = {
            "step": 0,
            "best": None,
            "patience": 0,
            "window": {},
            "last_metrics": {},
        }
        self.measured: dict[str, float] = {}  # by an evaluation of this very step
        self._save_models, self._prepare_save = save_models, prepare_save
        self.sharding = sharding
        self.best_metric, self.best_direction = best
        self._clock = time.monotonic()
        self._steps_timed = 0
        self._saved_at, self._save_seconds = time.monotonic(), 0.0

    @property
    def step(self) -> int:
        return self.state["step"]

    @property
    def last_metrics(self) -> dict[str, float]:
        """Of the last evaluation, which may be some steps ago."""
        return self.state["last_metrics"]

    def resume_from(self, folder: Path | None) -> None:
        """Take up optimizer and state of a verified checkpoint; models were loaded from it before."""
        if folder is None:
            self.run.state("running", total_steps=self.total_steps)
            return
        try:
            self.state = json.loads((folder / STATE).read_bytes())
            self.optimizer.load(folder / OPTIMIZER)
            if self.loss_scale.active:
                self.loss_scale.resume(self.state["loss_scale"])
        except (OSError, KeyError, ValueError) as error:
            raise CheckpointError(f"{folder} has no usable trainer state: {error}") from error
        # Checkpoints of former versions have them in the manifest alone.
        self.state.setdefault("last_metrics", checkpoints.load_manifest(folder).metrics)
        self.run.step = self.step
        self.run.state("running", total_steps=self.total_steps, resumed_from=self.run.relative(folder))

    def begin_step(self) -> int:
        """Count the step and seed everything for it."""
        self.state["step"] += 1
        self.measured = {}
        self.run.step = self.step
        torch.manual_seed(derived_seed(self.config.seed, "step", self.step))
        return self.step

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a micro-batch's share of the loss."""
        self.loss_scale.backward(loss)

    def rate_factor(self) -> float:
        return schedule_factor(
            self.step,
            self.total_steps,
            schedule=self.config.schedule,
            warmup_ratio=self.config.warmup_ratio,
            minimum_ratio=self.config.minimum_rate_ratio,
        )

    def log(self, metrics: dict[str, float]) -> None:
        """Collect a step's metrics; every `log_every` steps their means go to the diary, with progress."""
        window = self.state["window"]
        for name, value in (metrics | self.loss_scale.metrics()).items():
            total, count = window.get(name, (0.0, 0))
            window[name] = (total + value, count + 1)
        self._steps_timed += 1
        if self.loss_scale.active:
            self.state["loss_scale"] = self.loss_scale.state
        if self.step % self.config.log_every == 0 or self.step == self.total_steps:
            self.run.metrics({name: total / count for name, (total, count) in window.items()})
            self.run.progress(self.total_steps, (time.monotonic() - self._clock) / self._steps_timed)
            self.state["window"] = {}

    def due_for_evaluation(self) -> bool:
        every = self.config.evaluate_every
        return self.step == self.total_steps or bool(every and self.step % every == 0)

    def note(self, metrics: dict[str, float], *, eligible: bool = True) -> bool:
        """Record an evaluation; whether it is the best so far. Patience counts evaluations without a better
        one.
        """
        self.run.metrics(metrics)
        self.measured = self.state["last_metrics"] = metrics
        value = metrics.get(self.best_metric)
        if value is None or not eligible:
            return False
        best = self.state["best"]
        sign = 1.0 if self.best_direction == "max" else -1.0
        if best is None or sign * value > sign * best["value"]:
            self.state["best"] = {"metric": self.best_metric, "value": value, "step": self.step}
            self.state["patience"] = 0
            return True
        self.state["patience"] += 1
        return False

    def is_out_of_patience(self) -> bool:
        """Whether as many evaluations as are allowed have brought nothing better by the best metric."""
        patience = self.config.early_stopping_patience
        return bool(patience) and self.state["patience"] >= patience

    def log_lost_patience(self) -> None:
        count = self.config.early_stopping_patience
        self.run.log(f"stopped early: {count} evaluations without a better {self.best_metric}")

    def checkpoint(self) -> None:
        """The leader writes `checkpoints/step-N`, then drops what retention no longer keeps. The others come
        here only where they hold shares of it.
        """
        began_at = time.monotonic()
        self._prepare_save()
        moments = self.optimizer.collect()
        if self.sharding:
            self.sharding.gather(keep=self.team.leads)
        if self.team.leads:
            self._write(moments)
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - began_at

    def _write(self, moments: dict[str, Tensor]) -> None:
        folder = checkpoints.step_folder(self.run.checkpoints, self.step)
        self._refuse_non_finite()

        def fill(target: Path) -> None:
            self._save_models(target)
            save_file(moments, target / OPTIMIZER)
            checkpoints.write_json(target / STATE, self.state)

        with told_of_the_disk(folder):
            manifest = checkpoints.write_checkpoint(
                folder,
                fill,
                kind=self.kind,
                step=self.step,
                stage=self.run.stage,
                base=self.base,
                metrics=self.measured,  # of an earlier step they would be another model's
            )
        self.run.events.write(
            "checkpoint",
            self.step,
            {
                "path": self.run.relative(folder),
                "metrics": manifest.metrics,
                "kind": manifest.kind,
                "bytes": sum(entry["bytes"] for entry in manifest.files.values()),
            },
        )
        self._retire()

    def _refuse_non_finite(self) -> None:
        """A step's loss and gradients were looked at before the weights moved; these are what is kept."""
        modules = {"model": self.sharding.saved()} if self.sharding else self.modules
        for label, module in modules.items():
            if (name := bad_tensor(module)) is not None:
                raise NonFiniteError(
                    f"the weights {name} ({label}) are not finite after step {self.step}: nothing is saved "
                    "of it; lower the learning rate, then start again"
                )

    def end_step(self, *, improved: bool, finished: bool) -> None:
        """Save where due; on SIGTERM save and leave."""
        every = self.config.save_every
        due = bool(every and self.step % every == 0) or self._is_long_unsaved()
        stops = self.team.any(self.run.stop_requested)
        saves = self.team.leads and (finished or improved or due or stops)
        if self.sharding:  # all gather together, when the leader says so: clocks differ
            saves = self.team.any(saves)
        if saves:
            self.checkpoint()
        if stops and not finished:
            raise InterruptedRun(f"stopped on request after step {self.step}; a checkpoint is kept")

    def _is_long_unsaved(self) -> bool:
        """Whether a crash now would cost over LONGEST_UNSAVED_SECONDS. When one saves changes no result."""
        longest = max(LONGEST_UNSAVED_SECONDS, self._save_seconds / SAVING_SHARE)
        return time.monotonic() - self._saved_at > longest

    def finish(self, metrics: dict[str, Any], *, final_may_be_best: bool = True) -> None:
        """Write the result: metrics, best and final checkpoint. Where nothing was best, the final one is to
        be used, unless it may not be: None then.
        """
        final = self.run.relative(checkpoints.step_folder(self.run.checkpoints, self.step))
        best = self.state["best"]
        best_folder = checkpoints.step_folder(self.run.checkpoints, best["step"]) if best else None
        chosen = final if final_may_be_best else None
        if best_folder and best_folder.is_dir():
            chosen = self.run.relative(best_folder)
        self.run.finish(
            "succeeded", metrics=metrics, best=best, best_checkpoint=chosen, final_checkpoint=final
        )

    def _retire(self) -> None:
        whole = checkpoints.whole_checkpoints(self.run.checkpoints)
        best = self.state["best"]
        best_name = f"step-{best['step']}" if best else ""
        for folder in whole[: -self.config.keep_checkpoints]:
            if folder.name != best_name:
                checkpoints.remove_checkpoint(folder)
