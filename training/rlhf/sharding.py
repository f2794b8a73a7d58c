"""Weights shared out among processes (FSDP, version 2 of PyTorch's), for models that one device cannot hold.

`accelerate launch --config_file training/fsdp.yaml` asks for it; what that file says arrives in the
environment. Each block of the model is a unit, gathered when it computes, and whatever is outside the blocks,
embeddings and heads, is one. Gradients are added up while they are made, and not averaged: losses are shares
of the whole batch's mean already. Everything else is as in `team.py`, but that all processes take as many
passes, since a pass needs all of them, and that all of them gather what the leader saves.
"""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from training.rlhf.errors import ConfigError
from training.rlhf.models import inner_model
from training.rlhf.run import Run
from training.rlhf.team import is_alone_unasked, is_sharded, team_size

CONFIG_FILE = "training/fsdp.yaml"
OTHERS = {"DeepSpeed": "ACCELERATE_USE_DEEPSPEED", "Megatron-LM": "ACCELERATE_USE_MEGATRON_LM"}


def check_launcher(*, can_shard: bool) -> None:
    """Raises ConfigError where `accelerate launch` was told to do what this stage cannot."""
    for name, variable in OTHERS.items():
        if _is_set(variable):
            raise ConfigError(
                "device",
                f"{name} is not supported: launch plain processes, or share weights out with {CONFIG_FILE}",
            )
    if is_alone_unasked():
        raise ConfigError(
            "device",
            "accelerate launch was asked for several processes and has started one, as it does on the CPU: "
            "add --multi_gpu (on the CPU, too: it only starts them), or use torchrun",
        )
    if not is_sharded():
        return
    if not can_shard:
        raise ConfigError(
            "device",
            "sft and reward can share weights out (FSDP), this stage cannot: launch it without fsdp_config; "
            "adapters (method = lora) or a smaller model need less memory",
        )
    if os.environ.get("FSDP_VERSION") != "2":
        raise ConfigError("device", f"of FSDP version 2 is needed: set fsdp_version: 2, as in {CONFIG_FILE}")


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be shared out; every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """`value` where, and shared out as, the parameter is that it belongs to."""
    if isinstance(parameter, DTensor) and value.shape == parameter.shape:
        moved = value.to(parameter.device)
        return distribute_tensor(moved, parameter.device_mesh, parameter.placements)
    return value.to(parameter.device, copy=True)


def share_of(size: Any) -> Any:
    """A `memory.ModelSize` as one of several processes holds it."""
    if not is_sharded():
        return size
    count = team_size()
    return dataclasses.replace(size, weights=size.weights // count, learning=size.learning // count)


class Sharding:
    """`scorer` runs sharded from now on. `model`, its network, can be gathered for saving."""

    def __init__(self, scorer: nn.Module, model: nn.Module, device: torch.device) -> None:
        self._model = model
        self._blank = without_contents(model)
        mesh = init_device_mesh(device.type, (team_size(),))
        offload = CPUOffloadPolicy() if _is_set("FSDP_OFFLOAD_PARAMS") else OffloadPolicy()
        reshard = os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower() in ("true", "full_shard")
        for block in blocks_of(model):
            fully_shard(block, mesh=mesh, reshard_after_forward=reshard, offload_policy=offload)
        fully_shard(scorer, mesh=mesh, offload_policy=offload)
        for unit in scorer.modules():
            if isinstance(unit, FSDPModule):
                unit.set_gradient_divide_factor(1.0)
                unit.set_force_sum_reduction_for_comms(True)

    def gather(self, *, keep: bool) -> None:
        """All weights on the CPU of the process that is to `keep` them; every process must ask."""
        found: dict[str, Tensor] = {}
        for name, tensor in [*self._model.named_parameters(), *self._model.named_buffers()]:
            full = whole(tensor.detach())
            if keep:
                found[name] = full.cpu()
        if keep:
            self._blank.load_state_dict(found, strict=False, assign=True)
            inner_model(self._blank).tie_weights()  # type: ignore[operator]

    def saved(self) -> nn.Module:
        """The network as it was gathered last, where it was kept."""
        return self._blank


def without_contents(model: nn.Module) -> nn.Module:
    """A copy whose tensors have shapes only, and take no memory."""
    tensors = [*model.parameters(), *model.buffers()]
    memo: dict[int, Any] = {id(tensor): tensor.detach().to("meta") for tensor in tensors}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(memo[id(parameter)], requires_grad=parameter.requires_grad)
    return copy.deepcopy(model, memo)


def shard_if_asked(task: Any, run: Run, device: torch.device) -> Sharding | None:
    """Share out the network of a task (`scorer`, `model`, `saved`) where the launcher asks for it."""
    if not is_sharded():
        return None
    sharding = Sharding(task.scorer, task.model, device)
    task.saved = sharding.saved
    run.log(f"the weights are shared out among {team_size()} processes (FSDP)")
    return sharding


def blocks_of(model: nn.Module) -> Iterator[nn.Module]:
    """The repeated parts of a network: members of its outermost lists."""
    for child in model.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from blocks_of(child)


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() == "true"
