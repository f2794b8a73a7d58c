"""Texts as comparable words, with their places: what shingles and repeats are made of."""

from __future__ import annotations

from dataclasses import dataclass

from .folding import WORD, fold, is_unspaced


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    start: int
    end: int


def words_of(text: str) -> list[Word]:
    """Folded words without punctuation; a character of a script without blanks is a word of its own."""
    folded = fold(text)
    words: list[Word] = []
    for match in WORD.finditer(folded.text):
        begin = match.start()
        for index in range(match.start(), match.end()):
            if is_unspaced(folded.text[index]):
                if begin < index:
                    words.append(Word(folded.text[begin:index], *folded.span(begin, index)))
                words.append(Word(folded.text[index], *folded.span(index, index + 1)))
                begin = index + 1
        if begin < match.end():
            words.append(Word(folded.text[begin : match.end()], *folded.span(begin, match.end())))
    return words
