"""AdamW, its schedule, and its state as safetensors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from training.rlhf.errors import NonFiniteError
from training.rlhf.loss_scale import LossScale
from training.rlhf.sharding import like, whole
from training.rlhf.team import Team


def schedule_factor(
    step: int, total_steps: int, *, schedule: str, warmup_ratio: float, minimum_ratio: float
) -> float:
    """The share of the peak rate used for step `step` (1 .. total_steps)."""
    warmup = math.ceil(warmup_ratio * total_steps)
    if step <= warmup:
        return step / warmup
    if schedule == "constant":
        return 1.0
    # The first step after the warm-up has the peak rate; the step after the last would have the minimum.
    done = (step - warmup - 1) / max(1, total_steps - warmup)
    fall = 1.0 - done if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
    return minimum_ratio + (1.0 - minimum_ratio) * fall


class Optimizer:
    """AdamW over named modules, each with its peak rate; decay on matrices only.

    Parameters are known by name (`policy.transformer.h.0...`), so that state survives in a file.
    """

    def __init__(
        self,
        modules: dict[str, nn.Module],
        rates: dict[str, float],
        config: Any,
        team: Team | None = None,
        scale: LossScale | None = None,
    ) -> None:
        self._team = team
        self._scale = scale or LossScale(active=False)
        self.names: dict[str, nn.Parameter] = {}
        self.rates: list[float] = []
        self._modules = modules
        self._clip = config.maximum_gradient_norm
        groups = []
        for label, module in modules.items():
            named = [
                (name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad
            ]
            self.names.update({f"{label}.{name}": parameter for name, parameter in named})
            for decayed in (True, False):
                group = [parameter for _, parameter in named if (parameter.ndim >= 2) is decayed]
                if group:
                    groups.append({"params": group, "weight_decay": config.weight_decay if decayed else 0.0})
                    self.rates.append(rates[label])
        self.adam = torch.optim.AdamW(
            groups, lr=0.0, betas=(config.adam_beta1, config.adam_beta2), eps=config.adam_epsilon, fused=True
        )

    def step(self, factor: float) -> dict[str, float]:
        """Add up the processes' gradients, clip, step with each group's peak rate times `factor`, clear;
        gradient norms by module. Where gradients overflow half precision nothing is stepped, and norms are 0.
        """
        if self._team:
            # Gradients of weights that are shared out come added up.
            self._team.add_gradients([p for p in self.names.values() if not isinstance(p, DTensor)])
        self._scale.unscale(p.grad for p in self.names.values() if p.grad is not None)
        norms = {}
        for label, module in self._modules.items():
            parameters = [parameter for parameter in module.parameters() if parameter.grad is not None]
            norm = float(whole(nn.utils.clip_grad_norm_(parameters, self._clip if self._clip else math.inf)))
            if not math.isfinite(norm) and self._scale.overflowed():
                self.adam.zero_grad(set_to_none=True)
                return dict.fromkeys(self._modules, 0.0)
            if not math.isfinite(norm):
                raise NonFiniteError(f"the gradient of {self._first_bad_gradient(label)} is not finite")
            norms[label] = norm
        for group, rate in zip(self.adam.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        self._scale.succeeded()
        return norms

    def collect(self) -> dict[str, Tensor]:
        """The moments, whole and on the CPU, under `KEY/PARAMETER`."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in self.names.items():
            for key, value in self.adam.state.get(parameter, {}).items():
                tensors[f"{key}/{name}"] = whole(value.detach()).contiguous().cpu()
        return tensors

    def load(self, path: Path) -> None:
        with safe_open(path, framework="pt") as file:
            for stored in file.keys():  # noqa: SIM118 - safe_open is not a dict
                key, name = stored.split("/", 1)
                parameter = self.names[name]
                self.adam.state[parameter][key] = like(file.get_tensor(stored), parameter)

    def _first_bad_gradient(self, label: str) -> str:
        for name, parameter in self.names.items():
            if (
                name.startswith(f"{label}.")
                and parameter.grad is not None
                and not bool(torch.isfinite(whole(parameter.grad)).all())
            ):
                return name
        return label
