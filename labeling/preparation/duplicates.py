"""The same row twice, rows nearly the same, and prompts that stand on both sides of a split."""

from __future__ import annotations

import hashlib
from array import array

import numpy
import orjson

from .finding import MOST_GROUPS, Drop, Finding, Fix, Look, Options
from .near import NearIndex
from .units import Unit


def digest(*parts: object) -> int:
    """64 bits of BLAKE2: among a million rows two differing ones meet with a chance of 3 in 10^8."""
    data = hashlib.blake2b(orjson.dumps(parts), digest_size=8).digest()
    return int.from_bytes(data, "little")


def folded(text: str) -> str:
    return " ".join(text.casefold().split())


class Duplicates(Look):
    """Rows whose prompt, answers and order are the same, character for character."""

    fixes = ("drop_exact_duplicates",)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._digests = array("Q")
        self._rows: tuple[numpy.ndarray, list[list[int]]] | None = None

    def see(self, index: int, unit: Unit) -> None:
        turns = [(each["role"], each["content"]) for each in unit.messages]
        self._digests.append(digest(turns, unit.answers, unit.ranks))

    def _later(self) -> tuple[numpy.ndarray, list[list[int]]]:
        """(indices of all but the first of equal rows, the first groups)."""
        if self._rows is None:
            digests = numpy.frombuffer(self._digests, dtype=numpy.uint64)
            order = numpy.argsort(digests, kind="stable")
            same = numpy.append(False, digests[order][1:] == digests[order][:-1]) if len(order) else order
            later = numpy.sort(order[same.astype(bool)])
            self._rows = later, self._groups(order, same.astype(bool))
        return self._rows

    @staticmethod
    def _groups(order: numpy.ndarray, same: numpy.ndarray) -> list[list[int]]:
        starts = numpy.flatnonzero(~same)
        ends = numpy.append(starts[1:], len(order))
        several = ends - starts > 1
        groups = [order[a:b].tolist() for a, b in zip(starts[several], ends[several], strict=True)]
        return sorted(groups, key=lambda group: (-len(group), group[0]))[:MOST_GROUPS]

    def findings(self) -> list[Finding]:
        later, groups = self._later()
        if not len(later):
            return []
        return [Finding("exact_duplicates", "warning", len(later), later, groups, fixes=self.fixes)]

    def repairs(self) -> dict[str, Fix]:
        return {"drop_exact_duplicates": Drop(self._later()[0])}


class NearDuplicates(Look):
    """Rows whose prompt and whose answers, each by itself, share most of their words with those of a row
    before, in the same order of preference. Equal rows are the other look's.

    Texts are compared one by one, because a long prompt would make rows alike whose short answers differ.
    """

    fixes = ("drop_near_duplicates",)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._index = NearIndex()
        self._numbers: dict[int, int] = {}  # of each distinct text, case and blanks folded
        self._texts = array("Q")  # numbers of each row's texts, one row after the other
        self._ends = array("Q", [0])
        self._orders = array("Q")
        self._exact = array("Q")
        self._found: list[list[int]] | None = None

    def see(self, index: int, unit: Unit) -> None:
        for text in (unit.prompt, *unit.answers):
            self._texts.append(self._number(text))
        self._ends.append(len(self._texts))
        self._orders.append(digest(unit.ranks))
        self._exact.append(digest(unit.prompt, unit.answers))

    def _number(self, text: str) -> int:
        key = digest(folded(text))
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            self._index.add(text)
        return number

    def groups(self) -> list[list[int]]:
        """Rows that are alike and not equal, the first of each wording: groups by their first row."""
        if self._found is None:
            first = array("Q", range(len(self._numbers)))
            for group in self._index.groups():
                for number in group:
                    first[number] = group[0]
            alike: dict[int, dict[int, int]] = {}
            for index, order in enumerate(self._orders):
                numbers = self._texts[self._ends[index] : self._ends[index + 1]]
                key = digest([first[number] for number in numbers], order)
                alike.setdefault(key, {}).setdefault(self._exact[index], index)
            self._found = [list(rows.values()) for rows in alike.values() if len(rows) > 1]
        return self._found

    def _later(self) -> list[int]:
        return sorted(index for group in self.groups() for index in group[1:])

    def findings(self) -> list[Finding]:
        groups = self.groups()
        if not groups:
            return []
        largest = sorted(groups, key=lambda group: (-len(group), group[0]))[:MOST_GROUPS]
        later = self._later()
        values = {"groups": len(groups), "threshold": round(100 * self._index.threshold)}
        return [Finding("near_duplicates", "warning", len(later), later, largest, values, self.fixes)]

    def repairs(self) -> dict[str, Fix]:
        return {"drop_near_duplicates": Drop(self._later())}

    def close(self) -> None:
        self._index.__exit__(None, None, None)


class Leakage(Look):
    """Training prompts that also stand, or nearly, in validation, in test or in an evaluation set.

    By the words of the prompt: equal when case and blanks are folded, or alike as near duplicates are.
    """

    fixes = ("drop_leaks",)
    _HELD_OUT = ("validation", "test")

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._index = NearIndex()
        self._owners: list[list[int]] = []  # rows of each distinct prompt; -1 stands for an evaluation set
        self._numbers: dict[str, int] = {}
        self._held_out: set[int] = set()  # numbers of prompts that stand on a held-out side
        self._training: set[int] = set()
        for prompt in options.evaluation() if options.evaluation is not None else ():
            self._held_out.add(self._number(prompt))

    def _number(self, prompt: str) -> int:
        key = hashlib.blake2b(folded(prompt).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._owners)
            self._owners.append([])
            self._index.add(prompt)
        return number

    def see(self, index: int, unit: Unit) -> None:
        if not (self._held_out or unit.side):
            return
        number = self._number(unit.prompt)
        if unit.side in self._HELD_OUT:
            self._held_out.add(number)
        else:
            self._training.add(number)
            self._owners[number].append(index)

    def _leaks(self) -> list[int]:
        leaking = self._training & self._held_out
        if self._held_out and self._training:
            for group in self._index.groups():
                if not self._held_out.isdisjoint(group):
                    leaking |= self._training.intersection(group)
        return sorted(index for number in leaking for index in self._owners[number])

    def findings(self) -> list[Finding]:
        rows = self._leaks()
        return [Finding("leakage", "error", len(rows), rows, fixes=self.fixes)] if rows else []

    def repairs(self) -> dict[str, Fix]:
        return {"drop_leaks": Drop(self._leaks())}

    def close(self) -> None:
        self._index.__exit__(None, None, None)
