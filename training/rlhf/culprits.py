"""Whose fault it is that a number is not finite: a weight of the model, or a row of a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

MOST_NAMED = 8


def bad_tensor(module: nn.Module) -> str | None:
    """The name of the first weight that holds something that is not finite."""
    for name, parameter in module.named_parameters():
        if not bool(torch.isfinite(parameter.detach()).all()):
            return name
    return None


@torch.no_grad()
def culprit(
    module: nn.Module, rows: Sequence[int], place: Callable[[int], str], loss_of: Callable[[int], float]
) -> str:
    """Words for a micro-batch whose loss is not finite: the weight, else the first of its rows whose loss
    alone is not, else all of them, where the fault lies in what was made of the rows together.

    `place`: “row 12 of train.jsonl”. Reads each row once more; the run is over.
    """
    if (tensor := bad_tensor(module)) is not None:
        return f"the model's weights {tensor} are not finite themselves"
    for row in rows:
        if not math.isfinite(loss_of(row)):
            return place(row)
    return together(rows, place)


def together(rows: Sequence[int], place: Callable[[int], str]) -> str:
    """All rows of a micro-batch, where none can be told from the others."""
    named = ", ".join(place(row) for row in rows[:MOST_NAMED])
    return f"one of {named}{', …' if len(rows) > MOST_NAMED else ''}"


def place_in(file: str, row: int) -> str:
    """
    >>> place_in("/data/train.jsonl", 12)
    'row 12 of /data/train.jsonl'
    """
    return f"row {row} of {file}"
