"""What a look through the rows found, and what can be done. Words for both are the site's to give."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy

from .units import Unit

MOST_EXAMPLES = 5
MOST_GROUPS = 500
SEVERITIES = ("error", "warning", "info")


@dataclass
class Finding:
    """`rows`: indices (from 0, in the order of reading) of what it is about; `count` may be of something
    else, such as groups. `groups`: indices that belong together, the first MOST_GROUPS groups."""

    key: str
    severity: str
    count: int
    rows: Iterable[int] = ()
    groups: list[list[int]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    fixes: tuple[str, ...] = ()

    def first_rows(self) -> list[int]:
        rows = self.rows
        if isinstance(rows, numpy.ndarray):
            return rows[:MOST_EXAMPLES].tolist()
        return sorted(set(rows))[:MOST_EXAMPLES]


@dataclass(frozen=True)
class Drop:
    """A fix that leaves rows out, named by their indices."""

    rows: Iterable[int]


@dataclass(frozen=True)
class Change:
    """A fix that rewrites a row; a row that comes back equal was not changed."""

    rewrite: Callable[[Unit], Unit]


Fix = Drop | Change


@dataclass(frozen=True)
class Options:
    """What rows are measured against. `count_tokens` gives the tokens of a text, exactly or by estimate;
    `single_token` whether a text is one token, None where no tokenizer is known. `is_plain`: rows of the
    legacy prompt/completion kind, in which nothing but their texts marks where a prompt ends. `evaluation`:
    gives the prompts of evaluation sets that may not be trained on, None where there are none."""

    count_tokens: Callable[[str], int]
    context: int = 2048
    single_token: Callable[[str], bool] | None = None
    is_plain: bool = False
    evaluation: Callable[[], Iterable[str]] | None = None


class Look(ABC):
    """Sees every row once, then says what it found and which fixes it knows."""

    fixes: tuple[str, ...] = ()  # names of the fixes that `repairs` may give

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def see(self, index: int, unit: Unit) -> None:
        """One row; `index` counts from 0."""

    @abstractmethod
    def findings(self) -> list[Finding]:
        """After all rows were seen."""

    def repairs(self) -> dict[str, Fix]:
        """{name: fix}, after all rows were seen."""
        return {}

    def close(self) -> None:  # noqa: B027 - most looks hold none
        """Let go of files."""
