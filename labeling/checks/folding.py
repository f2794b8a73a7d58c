"""Text made comparable, with the way back to the raw text.

Folded: compatibility forms decomposed (NFKD), case folded, invisible format characters left out (a soft
hyphen or a zero-width space must not hide a word), each run of blanks one space. `Folded.span` leads a
stretch of the folded text back to code points of the raw one, so that a finding can be shown where it is.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# Scripts that put no blanks between words: a "whole word" has no meaning there.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_MARKS = "".join(
    character for character in map(chr, range(0x300, 0x1F000)) if unicodedata.category(character)[0] == "M"
)
# A word: letters and digits with the marks that belong to them (accents apart after folding, vowel signs).
WORD = re.compile(f"[^\\W_](?:[^\\W_]|[{_MARKS}])*")
_ASCII_LINE = re.compile(r"[!-~ ]*\Z")


@dataclass(frozen=True, slots=True)
class Folded:
    text: str
    starts: list[int]  # for each folded character: where its raw cluster begins …
    ends: list[int]  # … and ends

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The raw stretch of the folded characters start..end (end beyond start)."""
        return self.starts[start], self.ends[end - 1]


def fold(text: str) -> Folded:
    if _ASCII_LINE.match(text) and "  " not in text:
        return Folded(text.lower(), list(range(len(text))), list(range(1, len(text) + 1)))
    folded: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in _clusters(text):
        for character in _folded_cluster(text[start:end]):
            if character == " " and folded and folded[-1] == " ":
                ends[-1] = end
                continue
            folded.append(character)
            starts.append(start)
            ends.append(end)
    return Folded("".join(folded), starts, ends)


def fold_term(term: str) -> str:
    return fold(term.strip()).text


def is_word_character(character: str) -> bool:
    return character == "_" or unicodedata.category(character)[0] in "LNM"


def is_unspaced(character: str) -> bool:
    return _UNSPACED.match(character) is not None


def _clusters(text: str):
    """(start, end) of each character with the combining marks that follow it: their order is normalised."""
    start = 0
    for index in range(1, len(text) + 1):
        if index == len(text) or not unicodedata.combining(text[index]):
            yield start, index
            start = index


def _folded_cluster(cluster: str) -> str:
    if cluster.isspace():
        return " "
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", cluster).casefold())
    return "".join(
        " " if character.isspace() else character
        for character in decomposed
        if unicodedata.category(character) != "Cf"
    )
