"""An answer that says the prompt again: word for word, whatever its case and punctuation."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .finding import Finding
from .words import Word, words_of

LEAST_WORDS = 4  # a shorter turn ("Why?") may well return in a good answer
WHOLE_BELOW = 8  # a turn of fewer words counts only when repeated as a whole
LEAST_SHARE = 0.8


def find_repeated_prompt(text: str, turns: Iterable[str]) -> list[Finding]:
    """For each turn of the prompt that the answer repeats to 80 % or more in one piece: where it does."""
    answer = words_of(text)
    found: dict[tuple[int, int], Finding] = {}
    for turn in turns:
        stretch = _longest_repeat(answer, [word.text for word in words_of(turn)])
        if stretch is not None:
            first, last = answer[stretch[0]], answer[stretch[1] - 1]
            place = (first.start, last.end)
            found[place] = Finding(*place, "prompt", "Repeats the prompt word for word.")
    return [found[place] for place in sorted(found)]


def _longest_repeat(answer: list[Word], turn: list[str]) -> tuple[int, int] | None:
    """(first, last + 1) of the answer's words that repeat the longest long-enough piece of the turn."""
    if len(turn) < LEAST_WORDS:
        return None
    least = len(turn) if len(turn) < WHOLE_BELOW else math.ceil(LEAST_SHARE * len(turn))
    if len(answer) < least:
        return None
    texts = [word.text for word in answer]
    joined = f" {' '.join(texts)} "
    # Any long-enough piece holds one of these windows of the least length.
    for begin in range(len(turn) - least + 1):
        place = joined.find(f" {' '.join(turn[begin : begin + least])} ")
        if place >= 0:
            start = joined.count(" ", 0, place)
            end, following = start + least, begin + least
            while end < len(texts) and following < len(turn) and texts[end] == turn[following]:
                end, following = end + 1, following + 1
            return start, end
    return None
