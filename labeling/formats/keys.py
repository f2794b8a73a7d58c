"""Names for prompts that follow from their text alone: digests, groups and splits.

All of it is SHA-256 over UTF-8, so that it is the same on every machine, database, locale and hash seed.
"""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from fractions import Fraction

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
    unknown = set(fractions) - set(SPLITS)
    if unknown:
        raise ValueError(f"unknown split {sorted(unknown)[0]!r}; splits are {', '.join(SPLITS)}")
    shares = {name: Fraction(repr(float(fractions.get(name, 0)))) for name in SPLITS}
    if any(share < 0 for share in shares.values()) or abs(sum(shares.values(), Fraction(-1))) > Fraction(
        1, 10**9
    ):
        raise ValueError("the fractions of the splits must be zero or more and sum to 1")
    digest = hashlib.sha256(f"{len(salt)}:{salt}{prompt_key}".encode()).digest()
    point = Fraction(int.from_bytes(digest[:8], "big"), 2**64)
    edge = Fraction(0)
    for name in SPLITS:
        edge += shares[name]
        if point < edge:
            return name
    return next(name for name in reversed(SPLITS) if shares[name])  # the sum fell short of 1 by rounding


def _folded(text):
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _digest(turns):
    parts = [part.encode() for turn in turns for part in turn]
    # Lengths first, so that no two conversations read alike.
    return hashlib.sha256(b"".join([len(part).to_bytes(8, "big") + part for part in parts])).hexdigest()
