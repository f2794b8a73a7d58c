"""Texts that say nearly the same, found without comparing each with each.

Shingles of three words; MinHash of 60 values in 12 bands of 5. Two texts that share 80 % of their shingles
meet in at least one band with probability 1 - (1 - 0.8^5)^12 = 0.99, at 50 % with 0.32, at 20 % with 0.004.
Bands are numbers that any database can index; what meets there is then compared exactly (`similarity`).
"""

from __future__ import annotations

import hashlib

import numpy

from .words import words_of

SHINGLE = 3
BANDS, ROWS = 12, 5
LEAST_WORDS = 8  # shorter answers ("Paris.") are rightly alike
_PRIME = (1 << 61) - 1
_MASK = (1 << 32) - 1


def _multipliers() -> tuple[numpy.ndarray, numpy.ndarray]:
    """Fixed for ever: keys stored yesterday must meet those of today."""
    drawn = hashlib.shake_256(b"near duplicates 1").digest(BANDS * ROWS * 8)
    pairs = numpy.frombuffer(drawn, dtype="<u4").reshape(BANDS * ROWS, 2).astype(numpy.uint64)
    return pairs[:, :1] | numpy.uint64(1), pairs[:, 1:]


_A, _B = _multipliers()


def shingles(text: str) -> set[str]:
    words = [word.text for word in words_of(text)]
    if len(words) < LEAST_WORDS:
        return set()
    return {" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}


def similarity(first: str, second: str) -> float:
    """Share of the shingles of both texts that are common (Jaccard), 0 to 1; 0 for a text too short to
    say.
    """
    one, other = shingles(first), shingles(second)
    return len(one & other) / len(one | other) if one and other else 0.0


def band_keys(text: str) -> list[int]:
    """One signed 64-bit number a band; none for a text too short. Near duplicates share one at least."""
    found = shingles(text)
    if not found:
        return []
    hashes = numpy.frombuffer(
        b"".join(hashlib.blake2b(each.encode(), digest_size=4).digest() for each in found), dtype="<u4"
    ).astype(numpy.uint64)
    # (a·h + b) mod 2^61-1 fits 64 bits for 32-bit a and h; the low 32 bits are the hash.
    values = ((_A * hashes[None, :] + _B) % numpy.uint64(_PRIME)) & numpy.uint64(_MASK)
    smallest = values.min(axis=1).reshape(BANDS, ROWS)
    return [_key(band, row.tobytes()) for band, row in enumerate(smallest.astype("<u4"))]


def _key(band: int, row: bytes) -> int:
    digest = hashlib.blake2b(row, digest_size=8, salt=band.to_bytes(2, "big")).digest()
    return int.from_bytes(digest, "big", signed=True)
