"""How good a model is at naming one of a few classes: accuracy, log loss, confusion, precision and recall.

What it says is read off the probabilities of the classes' tokens, so nothing has to be generated.
Plain arithmetic on lists; no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from training.rlhf.reward_report import wilson

MOST_CLASSES = 50
LEAST = 1e-300  # of a probability, so that a log loss is a number


class ClassRow(NamedTuple):
    """A prompt with the number of its right class, and ln p of each class's token after the prompt."""

    right: int
    log_probabilities: list[float]


def class_report(classes: Sequence[str], rows: Sequence[ClassRow]) -> dict[str, Any]:
    """{"classes": [{"class", "rows", "said", "precision", "recall", "f1", "log_probability"}], "accuracy":
    {"value", "low", "high", "rows"}, "log_loss", "mass", "macro_f1", "majority", "confusion": [[…]]}.

    Of equal probabilities the first class counts. `log_loss` is mean −ln p(right | one of the classes),
    `mass` the mean probability that the model names any class at all, `log_probability` the mean ln p of a
    class where it is right, `majority` the accuracy of always naming the most frequent class. `confusion` has
    a line for each right class, a column for each that was said. Precision is None where a class was never
    said, recall where it never was right. Wilson's interval, 95 %.
    """
    count = len(classes)
    confusion = [[0] * count for _ in range(count)]
    losses, masses = [], []
    logs: list[list[float]] = [[] for _ in range(count)]
    for right, log_probabilities in rows:
        said = max(range(count), key=lambda index: log_probabilities[index])
        confusion[right][said] += 1
        total = sum(math.exp(value) for value in log_probabilities)
        masses.append(total)
        losses.append(-math.log(max(LEAST, math.exp(log_probabilities[right]) / max(LEAST, total))))
        logs[right].append(log_probabilities[right])
    correct = sum(confusion[index][index] for index in range(count))
    low, high = wilson(correct, len(rows))
    by_class = [_one(classes[index], index, confusion, logs[index]) for index in range(count)]
    return {
        "classes": by_class,
        "accuracy": {"value": correct / len(rows), "low": low, "high": high, "rows": len(rows)},
        "log_loss": sum(losses) / len(rows),
        "mass": sum(masses) / len(rows),
        "macro_f1": sum(row["f1"] or 0.0 for row in by_class) / count,
        "majority": max(map(sum, confusion)) / len(rows),
        "confusion": confusion,
    }


def _one(name: str, index: int, confusion: list[list[int]], logs: list[float]) -> dict[str, Any]:
    hits, rows, said = confusion[index][index], sum(confusion[index]), sum(line[index] for line in confusion)
    recall = wilson(hits, rows) if rows else (None, None)
    return {
        "class": name,
        "rows": rows,
        "said": said,
        "precision": hits / said if said else None,
        "recall": hits / rows if rows else None,
        "recall_low": recall[0],
        "recall_high": recall[1],
        "f1": 2 * hits / (rows + said) if rows + said else None,
        "log_probability": sum(logs) / len(logs) if logs else None,
    }
