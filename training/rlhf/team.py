"""Several processes that train one model: `torchrun` or `accelerate launch` started them.

Every process holds whole networks and computes its share of each batch; gradients are added up before a step,
so that all take the very same one, and sums of metrics are added up too. Losses are shares of the whole
batch's mean from the start, hence nothing depends on how many processes there are but the order of additions.
The process of rank 0 leads: it alone writes to the run folder.

Loads no torch until there are several: a follower must know that it is one before anything else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from training.rlhf.errors import NonFiniteError

if TYPE_CHECKING:
    from torch import Tensor, nn

Row = TypeVar("Row")
BUCKET = 16 * 2**20  # numbers sent at once


def own_rank() -> int:
    """This process's number among those that train together; 0 leads, and is alone by default."""
    return int(os.environ.get("RANK") or 0)


def team_size() -> int:
    return int(os.environ.get("WORLD_SIZE") or 1)


def neighbours() -> int:
    """Processes of the team on this machine: they share its cores and its memory."""
    return int(os.environ.get("LOCAL_WORLD_SIZE") or 1)


def is_alone_unasked() -> bool:
    """Whether accelerate's launcher was told of several processes and started one: for them it sets where to
    meet, and for each of them, where it does start them, how many there are.
    """
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ
    return launched and "WORLD_SIZE" not in os.environ


def is_sharded() -> bool:
    """Whether the launcher asked for weights to be shared out among several processes (see sharding.py)."""
    return team_size() > 1 and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"


class Team:
    """What the processes do together. Alone, each of these does nothing, and costs nothing."""

    def __init__(self, accelerator: Any) -> None:
        self.size, self.rank = accelerator.num_processes, accelerator.process_index
        self.device = accelerator.device
        self.in_step = self.size > 1 and is_sharded()  # every pass takes all of them

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, rows: Sequence[Row]) -> list[Row]:
        """Every `size`-th row, from the one of this process's rank."""
        return list(rows[self.rank :: self.size])

    def gather(self, value: Any) -> list[Any]:
        """What each process gave, by rank. Small plain values only."""
        if self.size == 1:
            return [value]
        import torch.distributed as distributed

        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def any(self, flag: bool) -> bool:
        return any(self.gather(bool(flag)))

    def add(self, *tensors: Tensor) -> None:
        """Each tensor becomes the sum over processes, in place; for what every process filled its part of."""
        if self.size == 1:
            return
        import torch.distributed as distributed

        for tensor in tensors:
            moved = tensor.to(self.device)
            distributed.all_reduce(moved)
            tensor.copy_(moved)

    def add_up(self, sums: dict[str, list[float]]) -> dict[str, list[float]]:
        """Lists of numbers under a name, added entry by entry."""
        if self.size == 1:
            return sums
        total: dict[str, list[float]] = {}
        for part in self.gather(sums):
            for name, values in part.items():
                before = total.get(name, [0.0] * len(values))
                total[name] = [one + other for one, other in zip(before, values, strict=True)]
        return total

    def evenly(self, groups: Iterable[Row], spare: Callable[[], Row]) -> Iterator[tuple[Row, bool]]:
        """(group, whether it counts): this process's, and where every pass takes all processes, as many more
        of the `spare` one as another process has.
        """
        if not self.in_step:
            yield from ((group, True) for group in groups)
            return
        found = [(group, True) for group in groups]
        most = max(self.gather(len(found)))  # asked before the first of them, while all are at one place
        yield from found
        for _ in range(most - len(found)):
            yield spare(), False

    def refuse(self, problem: str | None) -> None:
        """NonFiniteError with the first problem that one of the processes has."""
        for each in self.gather(problem) if self.in_step else [problem]:
            if each is not None:
                raise NonFiniteError(each)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What one process finds not to be finite, all of them raise: none waits for one that is gone."""
        if self.size == 1:
            yield
            return
        found: NonFiniteError | None = None
        try:
            yield
        except NonFiniteError as error:
            found = error
        for message in self.gather(found.message if found else None):
            if message is not None:
                raise found or NonFiniteError(message)

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Each gradient becomes the sum over processes. What no process has a gradient of keeps none."""
        if self.size == 1:
            return
        import torch
        import torch.distributed as distributed

        has = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        distributed.all_reduce(has)
        present = [p for p, count in zip(parameters, has.tolist(), strict=True) if count]
        for parameter in present:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for bucket in _buckets(present):
            flat = torch.cat([p.grad.reshape(-1) for p in bucket])  # type: ignore[union-attr]
            distributed.all_reduce(flat)
            start = 0
            for parameter in bucket:
                count = parameter.numel()
                parameter.grad.copy_(flat[start : start + count].view_as(parameter))  # type: ignore[union-attr]
                start += count


def _buckets(parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    bucket: list[nn.Parameter] = []
    size = 0
    for parameter in parameters:
        bucket.append(parameter)
        size += parameter.numel()
        if size >= BUCKET:
            yield bucket
            bucket, size = [], 0
    if bucket:
        yield bucket
