"""What every reader yields: one record per usable row, whatever the file looked like."""

from dataclasses import dataclass, field
from typing import Any

from .canonical import ranks_from_tiers

Messages = tuple[dict[str, str], ...]  # ({"role": "system"|"user"|"assistant", "content": text}, ...)


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """A conversation that ends with the user and waits for an answer."""

    messages: Messages
    row: int
    category: str = ""
    language: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DemonstrationRecord:
    """A prompt (`messages`, ending with the user) and the answer a person gave to it (`text`)."""

    messages: Messages
    text: str
    row: int
    category: str = ""
    language: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CompletionRecord:
    """An answer written by a model. `key` is the file's own name for it, "" where it has none; `score` what
    somebody gave it by itself (stars, votes, a thumb up as 1 or down as 0)."""

    text: str
    generator: str = ""
    key: str = ""
    score: float | None = None


@dataclass(frozen=True, slots=True)
class RankingRecord:
    """Completions of one prompt and, where the file has it, their weak order.

    `tiers`: indices into `completions`, the best tier first, a tier of several is a tie; completions in no
    tier could not be ranked. None: nobody has judged them yet, they are only to be ranked.
    `margins`: one number (or None) for each boundary between neighbouring tiers, or None altogether.
    """

    messages: Messages
    completions: tuple[CompletionRecord, ...]
    tiers: tuple[tuple[int, ...], ...] | None
    row: int
    margins: tuple[float | None, ...] | None = None
    category: str = ""
    language: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def ranks(self) -> list[int | None] | None:
        """1 = best, equal = tie, None = unrankable; None altogether when nothing is ranked."""
        return None if self.tiers is None else ranks_from_tiers(self.tiers, len(self.completions))


Record = PromptRecord | DemonstrationRecord | RankingRecord
KINDS = ("prompts", "demonstrations", "comparisons", "completions")
