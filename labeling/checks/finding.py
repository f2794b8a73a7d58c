from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A stretch `text[start:end]` (code points of the raw text) and what is the matter with it."""

    start: int
    end: int
    kind: str  # "email", "card", "word" …: finer than the check that found it
    message: str  # a sentence for the person who wrote the text
