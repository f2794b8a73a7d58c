"""Words and phrases that a project does not want in an answer: whole words, whatever their case or form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from .finding import Finding
from .folding import Folded, fold, fold_term, is_unspaced, is_word_character


def find_blocked_words(text: str, words: Iterable[str]) -> list[Finding]:
    """Each place where one of `words` stands, the longest where several begin.

    A phrase matches across any blanks. In scripts without blanks between words (Chinese, Japanese, Thai …)
    a term matches wherever it stands.
    """
    terms = _folded_terms(tuple(words))
    if not terms or not text:
        return []
    folded = fold(text)
    found: dict[int, tuple[int, str]] = {}
    for term, shown in terms:
        for start, end in _places(folded, term):
            if start not in found or found[start][0] < end:
                found[start] = (end, shown)
    return [
        Finding(*folded.span(start, end), "word", f"“{shown}” is on the project's list of blocked words.")
        for start, (end, shown) in sorted(found.items())
    ]


@lru_cache(maxsize=64)
def _folded_terms(words: tuple[str, ...]) -> list[tuple[str, str]]:
    terms = {fold_term(word): word.strip() for word in words}
    return [(term, shown) for term, shown in terms.items() if term]


def _places(folded: Folded, term: str) -> Iterator[tuple[int, int]]:
    position = folded.text.find(term)
    while position >= 0:
        end = position + len(term)
        if _is_edge(folded.text, position, term[0], -1) and _is_edge(folded.text, end - 1, term[-1], 1):
            yield position, end
        position = folded.text.find(term, position + 1)


def _is_edge(text: str, position: int, edge: str, step: int) -> bool:
    """Whether the word ends at this edge of the term: what lies beyond is no part of it."""
    beyond = position + step
    if not is_word_character(edge) or not 0 <= beyond < len(text):
        return True
    neighbour = text[beyond]
    if is_unspaced(edge) or is_unspaced(neighbour):
        # A mark that belongs to the last letter still makes another letter of it.
        return not (step > 0 and _is_mark(neighbour)) or is_unspaced(neighbour)
    return not is_word_character(neighbour)


def _is_mark(character: str) -> bool:
    return is_word_character(character) and not character.isalnum() and character != "_"
