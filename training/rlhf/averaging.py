"""A moving average of the weights that learn (InstructGPT, appendix C.4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class WeightAverage:
    """Trainable weights of `model`, averaged exponentially: what is evaluated and given away is the average,
    what samples and learns is the model itself.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.average = {name: weight.detach().clone() for name, weight in self.live.items()}

    @torch.no_grad()
    def update(self) -> None:
        for name, weight in self.live.items():
            self.average[name].lerp_(weight, 1.0 - self.decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model holds the average meanwhile, and gets its own weights back bit for bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, weight in self.live.items():
            weight.data, self.average[name] = self.average[name], weight.data

    def save_live(self, path: Path) -> None:
        """What learns, beside a checkpoint that holds the average."""
        save_file({name: weight.detach().contiguous().cpu() for name, weight in self.live.items()}, path)

    @torch.no_grad()
    def resume(self, path: Path) -> None:
        """The model holds a checkpoint's average, which is kept as such; its own weights come from `path`."""
        stored: dict[str, Tensor] = load_file(path)
        for name, weight in self.live.items():
            self.average[name] = weight.detach().clone()
            weight.copy_(stored[name])
