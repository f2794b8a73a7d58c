"""Comparisons that cannot all be right: the same answer chosen and rejected, a pair both ways, a circle."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy

from labeling.formats import pairs_from_ranks

from .duplicates import digest
from .finding import MOST_GROUPS, Drop, Finding, Fix, Look, Options
from .units import Unit

Edges = dict[tuple[int, int], list[int]]  # (better, worse) -> indices of the rows that say so


class EqualPairs(Look):
    """Rows in which one text stands above itself."""

    fixes = ("drop_equal_pairs",)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._rows: list[int] = []

    def see(self, index: int, unit: Unit) -> None:
        if unit.ranks is not None:
            texts = [each.strip() for each in unit.answers]
            if any(texts[a] == texts[b] for a, b in pairs_from_ranks(unit.ranks)):
                self._rows.append(index)

    def findings(self) -> list[Finding]:
        count = len(self._rows)
        return [Finding("equal_pairs", "error", count, self._rows, fixes=self.fixes)] if count else []

    def repairs(self) -> dict[str, Fix]:
        return {"drop_equal_pairs": Drop(self._rows)}


class Contradictions(Look):
    """Pairs of one prompt that are decided both ways, and circles A > B > C > A, across the rows."""

    fixes = ("drop_contradictions",)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._edges = array("Q")  # prompt, better, worse, index: 32 bytes a pair

    def see(self, index: int, unit: Unit) -> None:
        if unit.ranks is None:
            return
        turns = [(each["role"], each["content"]) for each in unit.messages]
        prompt, texts = digest(turns), [digest(each.strip()) for each in unit.answers]
        for better, worse in pairs_from_ranks(unit.ranks):
            if texts[better] != texts[worse]:
                self._edges.extend((prompt, texts[better], texts[worse], index))

    def _by_prompt(self) -> Iterator[Edges]:
        table = numpy.frombuffer(self._edges, dtype=numpy.uint64).reshape(-1, 4)
        table = table[numpy.argsort(table[:, 0], kind="stable")]
        edges: Edges = {}
        before = None
        for prompt, better, worse, index in table.tolist():
            if prompt != before and edges:
                yield edges
                edges = {}
            before = prompt
            edges.setdefault((better, worse), []).append(index)
        if edges:
            yield edges

    def _found(self) -> tuple[list[list[int]], list[list[int]]]:
        """(rows of each pair decided both ways, rows of each circle of three and more)."""
        both, circles = [], []
        for edges in self._by_prompt():
            for (better, worse), rows in edges.items():
                if better < worse and (worse, better) in edges:
                    both.append(sorted({*rows, *edges[worse, better]}))
            one_way = {pair: rows for pair, rows in edges.items() if pair[::-1] not in edges}
            for part in strong_parts(list(one_way)):
                inside = [rows for pair, rows in one_way.items() if part.issuperset(pair)]
                circles.append(sorted({index for rows in inside for index in rows}))
        return sorted(both), sorted(circles)

    def findings(self) -> list[Finding]:
        found = []
        for key, groups in zip(("both_ways", "circles"), self._found(), strict=True):
            if groups:
                rows = sorted({index for group in groups for index in group})
                values = {"rows": len(rows)}
                found.append(
                    Finding(key, "warning", len(groups), rows, groups[:MOST_GROUPS], values, self.fixes)
                )
        return found

    def repairs(self) -> dict[str, Fix]:
        both, circles = self._found()
        return {"drop_contradictions": Drop({index for group in [*both, *circles] for index in group})}


def strong_parts(pairs: list[tuple[int, int]]) -> list[set[int]]:
    """The strongly connected components of two and more nodes (Tarjan 1972, without recursion): what lies on
    circles.

    >>> strong_parts([(1, 2), (2, 3), (3, 1), (3, 4)])
    [{1, 2, 3}]
    """
    after: dict[int, list[int]] = {}
    for better, worse in pairs:
        after.setdefault(better, []).append(worse)
        after.setdefault(worse, [])
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    open_nodes: list[int] = []
    is_open: set[int] = set()
    parts = []
    for start in after:
        if start in number:
            continue
        work = [(start, iter(after[start]))]
        while work:
            node, children = work[-1]
            if node not in number:
                number[node] = low[node] = len(number)
                open_nodes.append(node)
                is_open.add(node)
            for child in children:
                if child not in number:
                    work.append((child, iter(after[child])))
                    break
                if child in is_open:
                    low[node] = min(low[node], number[child])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    part = _closed(node, open_nodes, is_open)
                    if len(part) > 1:
                        parts.append(part)
    return parts


def _closed(node: int, open_nodes: list[int], is_open: set[int]) -> set[int]:
    part = set()
    while True:
        member = open_nodes.pop()
        is_open.discard(member)
        part.add(member)
        if member == node:
            return part
