"""How many rows there are for what the task needs; for answers that are class names, each class."""

from __future__ import annotations

from array import array
from collections import Counter

import numpy

from .duplicates import digest
from .finding import Drop, Finding, Fix, Look, Options
from .texts import STOP_MARKS
from .units import Unit

PER_CLASS = 100  # rows of each class (OpenAI's advice for fine-tuned classifiers)
A_FEW_HUNDRED, SEVERAL_THOUSAND = 200, 2_000
MOST_CLASSES = 50
MOST_WORDS = 4  # of the name of a class
REPEATED = 5  # rows a class on average, at least: fewer are answers that happen to be short and alike
UNEVEN = 4  # the largest class over the smallest


class Classes(Look):
    """Whether the answers are names of classes, the rows of each, and how many rows there are in all."""

    fixes = ("cap_classes",)

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._rows = 0
        self._answered = 0
        self._compared = 0
        self._names: Counter | None = Counter()
        self._classes = array("Q")  # of each row, a digest; 0 where it has no single answer

    def see(self, index: int, unit: Unit) -> None:
        self._rows += 1
        self._compared += unit.ranks is not None
        if not unit.is_demonstration:
            self._classes.append(0)
            return
        self._answered += 1
        name = class_name(unit.answers[0])
        self._classes.append(digest(name))
        if self._names is not None:
            if len(name.split()) > MOST_WORDS or len(name) > 60:
                self._names = None
                return
            self._names[name] += 1
            if len(self._names) > MOST_CLASSES:
                self._names = None

    def classes(self) -> dict[str, int]:
        """{name: rows} where the answers are classes, the most frequent first; else empty."""
        names = self._names or Counter()
        if len(names) < 2 or self._answered < REPEATED * len(names):
            return {}
        return dict(sorted(names.items(), key=lambda item: (-item[1], item[0])))

    def findings(self) -> list[Finding]:
        classes = self.classes()
        return self._class_findings(classes) if classes else self._count_findings()

    def _count_findings(self) -> list[Finding]:
        values = {"rows": self._rows, "few": A_FEW_HUNDRED, "many": SEVERAL_THOUSAND}
        if not (self._answered or self._compared) or self._rows >= SEVERAL_THOUSAND:
            return []
        is_few = self._rows < A_FEW_HUNDRED
        key, severity = ("too_few_rows", "warning") if is_few else ("few_rows", "info")
        return [Finding(key, severity, self._rows, [], [], values)]

    def _class_findings(self, classes: dict[str, int]) -> list[Finding]:
        found = []
        small = {name: count for name, count in classes.items() if count < PER_CLASS}
        if small:
            values: dict = {"classes": small, "wanted": PER_CLASS}
            found.append(Finding("small_classes", "warning", len(small), self._first_of(small), [], values))
        sizes = list(classes.values())
        if sizes[0] > UNEVEN * sizes[-1]:
            values = {"classes": classes, "most": sizes[0], "least": sizes[-1]}
            rows = self._first_of(classes)
            found.append(Finding("uneven_classes", "info", len(classes), rows, [], values, self.fixes))
        is_one = self.options.single_token
        if is_one is not None and (long := [name for name in classes if not is_one(name)]):
            values = {"classes": {name: classes[name] for name in long}}
            found.append(Finding("class_tokens", "warning", len(long), self._first_of(long), [], values))
        return found

    def _first_of(self, names) -> list[int]:
        classes = numpy.frombuffer(self._classes, dtype=numpy.uint64)
        return [int(numpy.flatnonzero(classes == digest(name))[0]) for name in names][:5]

    def repairs(self) -> dict[str, Fix]:
        """Of each class at most UNEVEN times the rows of the smallest, the first ones."""
        classes = self.classes()
        if not classes:
            return {}
        cap = UNEVEN * min(classes.values())
        ids = numpy.frombuffer(self._classes, dtype=numpy.uint64)
        over = [numpy.flatnonzero(ids == digest(name))[cap:] for name in classes]
        return {"cap_classes": Drop(numpy.sort(numpy.concatenate(over)))}


def class_name(answer: str) -> str:
    """The answer without what only says where it stops.

    >>> class_name(" positive\\n\\n###"), class_name("Description<|endoftext|>")
    ('positive', 'Description')
    """
    name = answer.strip()
    for mark in STOP_MARKS:
        name = name.removesuffix(mark).strip()
    return name
