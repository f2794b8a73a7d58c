"""Differences between two texts, as data for the diff view. Pure functions over difflib."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

WORDS = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True)
class Piece:
    """A stretch of text: "same", "ins" (only in the newer) or "del" (only in the older)."""

    kind: str
    text: str


def word_diff(older: str, newer: str) -> list[Piece]:
    """Word by word; the "same" and "ins" pieces join to `newer`, the "same" and "del" ones to `older`."""
    return _pieces(WORDS.findall(older), WORDS.findall(newer))


def line_diff(older: str, newer: str) -> list[Piece]:
    """Line by line, one piece per line, line ends kept off."""
    pieces = []
    for piece in _pieces(older.splitlines(keepends=True), newer.splitlines(keepends=True)):
        pieces += [Piece(piece.kind, line) for line in piece.text.splitlines()]
    return pieces


def _pieces(older: list[str], newer: list[str]) -> list[Piece]:
    matcher = difflib.SequenceMatcher(a=older, b=newer, autojunk=False)
    pieces = []
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(older[a0:a1])))
            continue
        if a1 > a0:
            pieces.append(Piece("del", "".join(older[a0:a1])))
        if b1 > b0:
            pieces.append(Piece("ins", "".join(newer[b0:b1])))
    return pieces
