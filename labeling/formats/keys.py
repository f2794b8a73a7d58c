"""Names for prompts that follow from their text alone: digests, groups and splits.

All of it is SHA-256 over UTF-8, so that it is the same on every machine, database, locale and hash seed.
"""

import hashlib
import math
import unicodedata
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

SPLITS = ("train", "validation", "test")


def prompt_digest(messages: Sequence[Mapping[str, str]]) -> str:
    """Hex SHA-256 of a conversation: equal exactly when roles and texts are equal, character for
    character."""
    return _digest((m["role"], m["content"]) for m in messages)


def prompt_group(messages: Sequence[Mapping[str, str]]) -> str:
    """Hex SHA-256 of a conversation without regard to case, white space, and Unicode form.

    The key to split by: two prompts that differ only by a blank must not stand on both sides of a split.
    """
    return _digest((m["role"], _folded(m["content"])) for m in messages)


def split_of(prompt_key: str, salt: str, fractions: Mapping[str, float]) -> str:
    """ "train", "validation" or "test" for a prompt, in the long run in these `fractions`, which sum to 1.

    Depends on the key and the salt only: a prompt stays where it is when others come or go.
    Raises ValueError for fractions that are negative, unknown, or do not sum to 1 (to 1e-9).
    """
    digest = hashlib.sha256(f"{len(salt)}:{salt}{prompt_key}".encode()).digest()
    point = int.from_bytes(digest[:8], "big")
    for name, end in _ends(tuple(fractions.items())):
        if point < end:
            return name
    raise AssertionError("the last split ends where the points end")


@lru_cache(maxsize=16)
def _ends(fractions: tuple[tuple[str, float], ...]) -> list[tuple[str, int]]:
    """(split, where its share of the 2^64 points ends), without those that have no share."""
    given = dict(fractions)
    unknown = set(given) - set(SPLITS)
    if unknown:
        raise ValueError(f"unknown split {sorted(unknown)[0]!r}; splits are {', '.join(SPLITS)}")
    shares = {name: Fraction(repr(float(given.get(name, 0)))) for name in SPLITS}
    if any(share < 0 for share in shares.values()) or abs(sum(shares.values(), Fraction(-1))) > Fraction(
        1, 10**9
    ):
        raise ValueError("the fractions of the splits must be zero or more and sum to 1")
    ends, edge = [], Fraction(0)
    for name in SPLITS:
        if shares[name]:
            edge += shares[name]
            ends.append((name, math.ceil(edge * 2**64)))
    return [*ends[:-1], (ends[-1][0], 2**64)]  # the sum may fall short of 1 by rounding


def _folded(text):
    if not text.isascii():  # which is in that form already
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def _digest(turns):
    parts = [part.encode() for turn in turns for part in turn]
    # Lengths first, so that no two conversations read alike.
    return hashlib.sha256(b"".join([len(part).to_bytes(8, "big") + part for part in parts])).hexdigest()
