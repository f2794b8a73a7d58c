"""One row of a version to be, and what is counted of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .dataset_origins import Origin


@dataclass(frozen=True, slots=True)
class Selected:
    """One row of a version to be, with what its statistics need. `left_out` says why where there is no
    row."""

    group: str  # what it is split by
    row: dict[str, Any] | None
    member_id: int  # submission, or prompt in a prompts dataset
    category: str
    characters: int  # of what is learnt: the answer, all completions, or the prompt
    turns: int
    left_out: str = ""
    language: str = ""  # of the prompt
    dropped: dict[str, Any] | None = None  # the row that a filter left out, for a preview to show
    origin: Origin = Origin()  # the files it holds something of

    @property
    def present_row(self) -> dict[str, Any]:
        """The row; raises ValueError for one that was left out."""
        if self.row is None:
            raise ValueError(f"member {self.member_id} was left out: {self.left_out}")
        return self.row


def count_turns(messages: list[dict[str, str]]) -> int:
    return sum(message["role"] == "user" for message in messages)
