"""Numbers about texts: overlap with references (ROUGE-L, BLEU) and diversity (distinct-n). Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import NamedTuple

WORD = re.compile(r"\w+")


class Overlap(NamedTuple):
    precision: float
    recall: float
    f1: float


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores of any script, folded: case and punctuation do not count."""
    return WORD.findall(text.casefold())


def rouge_l(candidate: str, reference: str) -> Overlap:
    """Longest common subsequence of words against both lengths (Lin 2004), F1, no stemming.

    Two texts without words are alike (1); if only one has none, 0.
    """
    ours, theirs = words(candidate), words(reference)
    if not ours or not theirs:
        same = float(not ours and not theirs)
        return Overlap(same, same, same)
    common = longest_common_subsequence(ours, theirs)
    precision, recall = common / len(ours), common / len(theirs)
    return Overlap(precision, recall, 2 * common / (len(ours) + len(theirs)))


def longest_common_subsequence(ours: Sequence[Hashable], theirs: Sequence[Hashable]) -> int:
    """Its length, a word of `theirs` at a time over all of `ours` in the bits of one number (Hyyrö 2004)."""
    places: dict[Hashable, int] = {}
    for index, item in enumerate(ours):
        places[item] = places.get(item, 0) | 1 << index
    full = (1 << len(ours)) - 1
    unmatched = full
    for item in theirs:
        here = unmatched & places.get(item, 0)
        unmatched = (unmatched + here | unmatched - here) & full
    return len(ours) - unmatched.bit_count()


def bleu(candidates: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU from 0 to 100 as sacrebleu counts it: one reference each, tokenizer 13a, case kept,
    exponential smoothing.
    """
    from sacrebleu.metrics.bleu import BLEU  # a third of a second

    return float(BLEU().corpus_score(list(candidates), [list(references)]).score)


def distinct_n(sequences: Sequence[Sequence[Hashable]], n: int) -> float:
    """Different n-grams as a share of all of them, over all sequences together (Li et al. 2016); 0 without
    any. It falls by itself as more is counted: compare equal numbers of texts of like length.
    """
    grams = [
        tuple(sequence[start : start + n]) for sequence in sequences for start in range(len(sequence) - n + 1)
    ]
    return len(set(grams)) / len(grams) if grams else 0.0
