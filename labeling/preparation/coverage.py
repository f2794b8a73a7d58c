"""What a dataset is made of: rows by category, length, source and person, and where there are few."""

from __future__ import annotations

from collections import Counter

from .units import Unit

MOST_NAMES = 200
LENGTH_EDGES = tuple(2**power for power in range(4, 21))  # upper edges in characters; the last holds the rest
GAP = 0.25  # of the rows that an even share would be


class Coverage:
    def __init__(self) -> None:
        self._by: dict[str, Counter] = {
            name: Counter() for name in ("categories", "lengths", "sources", "annotators", "sides")
        }

    def see(self, unit: Unit) -> None:
        self._by["categories"][unit.category] += 1
        self._by["lengths"][str(_edge(len(unit.text)))] += 1
        if unit.source:
            self._by["sources"][unit.source] += 1
        if unit.annotator:
            self._by["annotators"][unit.annotator] += 1
        if unit.side:
            self._by["sides"][unit.side] += 1

    def to_json(self) -> dict[str, dict[str, int]]:
        """The most frequent names of each, most rows first; lengths in order."""
        found = {}
        for name, counts in self._by.items():
            if name == "lengths":
                ordered = sorted(counts.items(), key=lambda item: int(item[0]))
            else:
                ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_NAMES]
            found[name] = dict(ordered)
        return found


def _edge(characters: int) -> int:
    return next((edge for edge in LENGTH_EDGES if characters < edge), LENGTH_EDGES[-1])


def gaps(counts: dict[str, int]) -> dict[str, int]:
    """{name: rows it lacks} of the names with less than GAP of an even share, to come up to half of one.

    >>> gaps({"cooking": 80, "travel": 75, "law": 5})
    {'law': 21}
    """
    named = {name: count for name, count in counts.items() if name}
    if len(named) < 2:
        return {}
    even = sum(named.values()) / len(named)
    return {name: int(even / 2) - count for name, count in named.items() if count < GAP * even}
