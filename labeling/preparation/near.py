"""Texts of a whole dataset that say nearly the same, grouped: MinHash and locality-sensitive hashing.

Broder (1997): the share of common shingles of two texts (Jaccard) is the chance that the smallest hash of
both is the same. Shingles of three words, BANDS x ROWS smallest hashes; texts that agree on one whole band
are compared exactly. At a similarity of 0.8 a pair meets with probability 1 - (1 - 0.8^5)^24 = 0.9999, at 0.3
with 0.06. `labeling.checks.near_duplicates` answers for one text at a time, against what a database keeps;
here everything is known, so that hashes are computed for many texts at once.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from array import array
from collections.abc import Iterator
from types import TracebackType

import numpy

SHINGLE = 3
BANDS, ROWS = 24, 5
LEAST_WORDS = 8  # shorter texts ("Paris.") are rightly alike
THRESHOLD = 0.8
MOST_WORDS = 20_000  # of one text; what follows says no more about its likeness
_CHUNK_SHINGLES = 100_000
_ALL_PAIRS = (
    40  # a group up to this size is compared each with each, a larger one with so many of its members
)
_MOST_KNOWN = 200_000

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3100-\u312f\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# A character of a script without blanks is a word of its own.
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W{_UNSPACED}]+")


def _drawn(name: bytes) -> numpy.ndarray:
    """Fixed for ever: the same rows are dropped whenever a version is built again."""
    data = hashlib.shake_256(name).digest(BANDS * ROWS * 8)
    return numpy.frombuffer(data, dtype="<u8").astype(numpy.uint64)


_A, _B = _drawn(b"preparation a") | numpy.uint64(1), _drawn(b"preparation b")
_WEIGHTS = [numpy.uint64(each) for each in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)]


def words(text: str) -> list[str]:
    """Case folded words without punctuation.

    >>> words("Is it 5 o'clock? 東京")
    ['is', 'it', '5', 'o', 'clock', '東', '京']
    """
    return _WORD.findall(text.casefold())[:MOST_WORDS]


class NearIndex:
    """Add texts in turn, then ask for the groups of those alike. Use as a context manager: shingles wait in
    a temporary file, so that the memory grows by about 250 bytes a text, whatever its length.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self.threshold = threshold
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._starts = array("Q", [0])
        self._pending: list[numpy.ndarray] = []
        self._pending_size = 0
        self._bands: list[numpy.ndarray] = []
        self._hashes: dict[str, int] = {}

    def __enter__(self) -> NearIndex:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._spool.close()

    def __len__(self) -> int:
        return len(self._starts) - 1

    def add(self, text: str) -> None:
        """The next text; its number is how many were added before."""
        shingles = self._shingles(text)
        self._spool.write(shingles.tobytes())
        self._starts.append(self._starts[-1] + len(shingles))
        self._pending.append(shingles)
        self._pending_size += len(shingles)
        if self._pending_size >= _CHUNK_SHINGLES:
            self._flush()

    def groups(self) -> list[list[int]]:
        """Numbers of texts that hang together by similarities of at least the threshold: each group in
        order, the groups by their first. Texts too short to say are in none."""
        self._flush()
        if not self._starts[-1]:
            return []
        self._spool.flush()
        shingles = numpy.memmap(self._spool, dtype=numpy.uint64, mode="r")
        joined = _Joined(len(self))
        bands = numpy.concatenate(self._bands)
        long_enough = numpy.flatnonzero(numpy.diff(numpy.frombuffer(self._starts, dtype=numpy.uint64)))
        for band in range(BANDS):
            for members in _equal(bands[long_enough, band], long_enough):
                self._compare(members, shingles, joined)
        return joined.groups()

    def _compare(self, members: list[int], shingles: numpy.ndarray, joined: _Joined) -> None:
        """Members of a large group are compared with the first of those that are not joined with them."""
        seen: list[int] = []
        for number in members:
            mine = self._of(number, shingles)
            for other in seen[:_ALL_PAIRS]:
                if not joined.are_one(number, other) and self._alike(mine, self._of(other, shingles)):
                    joined.join(number, other)
            if len(members) <= _ALL_PAIRS or not any(joined.are_one(number, other) for other in seen):
                seen.append(number)

    def _of(self, number: int, shingles: numpy.ndarray) -> numpy.ndarray:
        return shingles[self._starts[number] : self._starts[number + 1]]

    def _alike(self, one: numpy.ndarray, other: numpy.ndarray) -> bool:
        short, long = sorted((len(one), len(other)))
        if short < self.threshold * long:  # cannot reach it
            return False
        common = len(numpy.intersect1d(one, other, assume_unique=True))
        return common >= self.threshold * (len(one) + len(other) - common)

    def _shingles(self, text: str) -> numpy.ndarray:
        found = words(text)
        if len(found) < LEAST_WORDS:
            return numpy.empty(0, numpy.uint64)
        if len(self._hashes) > _MOST_KNOWN:
            self._hashes.clear()
        known = self._hashes
        hashed = numpy.array([known.get(word) or self._hash(word) for word in found], dtype=numpy.uint64)
        size = len(found) - SHINGLE + 1
        mixed = sum(
            (hashed[i : i + size] * _WEIGHTS[i] for i in range(1, SHINGLE)), hashed[:size] * _WEIGHTS[0]
        )
        mixed ^= mixed >> numpy.uint64(29)
        mixed *= numpy.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> numpy.uint64(32)
        return numpy.unique(mixed)

    def _hash(self, word: str) -> int:
        data = word.encode("utf-8", "surrogatepass")
        number = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
        self._hashes[word] = number
        return number

    def _flush(self) -> None:
        """The band keys of the texts that wait: (texts, BANDS) numbers."""
        if not self._pending:
            return
        lengths = numpy.array([len(each) for each in self._pending])
        keys = numpy.zeros((len(lengths), BANDS), dtype=numpy.uint64)
        filled = numpy.flatnonzero(lengths)
        if len(filled):
            hashes = numpy.concatenate(self._pending)
            ends = numpy.cumsum(lengths[filled])
            starts = ends - lengths[filled]
            for index in range(BANDS * ROWS):
                # Multiply-shift: the upper half of a·h + b modulo 2^64.
                values = (hashes * _A[index] + _B[index]) >> numpy.uint64(32)
                smallest = numpy.minimum.reduceat(values, starts)
                band = index // ROWS
                keys[filled, band] = (keys[filled, band] ^ smallest) * _WEIGHTS[0] + _WEIGHTS[1]
        self._bands.append(keys)
        self._pending, self._pending_size = [], 0


def _equal(keys: numpy.ndarray, numbers: numpy.ndarray) -> Iterator[list[int]]:
    """Numbers with an equal key, two and more together, in order."""
    order = numpy.argsort(keys, kind="stable")
    ordered = keys[order]
    edges = numpy.flatnonzero(numpy.append(True, ordered[1:] != ordered[:-1]))
    ends = numpy.append(edges[1:], len(ordered))
    for start, end in zip(edges[ends - edges > 1], ends[ends - edges > 1], strict=True):
        yield numbers[order[start:end]].tolist()


class _Joined:
    """Disjoint sets of numbers (union-find with path halving); a set is named by its smallest."""

    def __init__(self, size: int) -> None:
        self._parent = array("Q", range(size))

    def _root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def are_one(self, one: int, other: int) -> bool:
        return self._root(one) == self._root(other)

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self._root(one), self._root(other)))
        self._parent[high] = low

    def groups(self) -> list[list[int]]:
        found: dict[int, list[int]] = {}
        for number in range(len(self._parent)):
            if self._parent[number] != number:
                found.setdefault(self._root(number), []).append(number)
        return [[first, *rest] for first, rest in sorted(found.items())]
