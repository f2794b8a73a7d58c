"""What half precision (fp16) needs: gradients below 6e-8 would be zero there, so the loss is scaled up first.

The scale doubles after a while without overflow, and halves with an update left out where the gradients
overflow ("Mixed precision training", arXiv 1710.03740, section 3.2). It is a power of two, so that scaling is
exact, and plain JSON in each checkpoint, so that a resumed run goes on with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

FIRST, GROWS_AFTER, LARGEST = 2.0**16, 2000, 2.0**24


class LossScale:
    """1 for ever unless `active`. `state` is {"scale", "good", "skipped"}: updates since it last changed, and
    how many were left out in all.
    """

    def __init__(self, *, active: bool) -> None:
        self.active = active
        self.state: dict[str, Any] = {"scale": FIRST if active else 1.0, "good": 0, "skipped": 0}

    def resume(self, state: dict[str, Any]) -> None:
        self.state = state

    def backward(self, loss: Tensor) -> None:
        """Gradients of the scaled loss, added to those that are there."""
        (loss * self.state["scale"] if self.active else loss).backward()

    def unscale(self, gradients: Iterable[Tensor]) -> None:
        """In place, after the gradients of all processes were added up."""
        chosen = list(gradients)
        if self.active and chosen:
            torch._foreach_mul_(chosen, 1.0 / self.state["scale"])

    def overflowed(self) -> bool:
        """Halve the scale after gradients that are not finite; False where that cannot be the reason."""
        if not self.active or self.state["scale"] <= 1.0:
            return False
        self.state |= {"scale": self.state["scale"] / 2, "good": 0, "skipped": self.state["skipped"] + 1}
        return True

    def succeeded(self) -> None:
        """Count an update, and double the scale after GROWS_AFTER of them."""
        if not self.active:
            return
        self.state["good"] += 1
        if self.state["good"] >= GROWS_AFTER:
            self.state |= {"scale": min(LARGEST, self.state["scale"] * 2), "good": 0}

    def metrics(self) -> dict[str, float]:
        if not self.active:
            return {}
        return {"loss_scale": self.state["scale"], "skipped_updates": float(self.state["skipped"])}
