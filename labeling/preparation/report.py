"""Looking through all rows of a file or a version, and carrying out the fixes that a person chose.

Rows are read twice: once by the looks, and once more for the excerpts, or to write what the fixes leave of
them. So nothing but a few numbers a row is held in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from .classes import Classes
from .comparisons import Contradictions, EqualPairs
from .coverage import Coverage
from .duplicates import Duplicates, Leakage, NearDuplicates
from .edges import Marks, SharedEdges
from .finding import SEVERITIES, Change, Drop, Finding, Fix, Look, Options
from .languages import Languages
from .texts import EmptyAnswers, Lengths, PersonalData, UpperCase
from .units import Unit

PREPARATION_LOOKS: tuple[type[Look], ...] = (
    EmptyAnswers, EqualPairs, Leakage, Classes, Duplicates, NearDuplicates, Contradictions, Lengths, Marks,
    SharedEdges, UpperCase, PersonalData, Languages,
)  # fmt: skip
# Dropping comes first, in this order: a row is counted under the first reason it goes for. Then changes.
FIXES = (
    "drop_empty_answers", "drop_equal_pairs", "drop_leaks", "drop_exact_duplicates", "drop_near_duplicates",
    "drop_contradictions", "drop_over_long", "drop_upper_case", "drop_personal_data", "drop_other_languages",
    "cap_classes",
    "strip_prompt_prefix", "strip_answer_prefix", "strip_answer_suffix", "lower_upper_case",
    "mask_personal_data", "mark_prompt_ends", "lead_with_blank", "mark_answer_ends",
)  # fmt: skip
EXCERPT = 240
GROUP_ROWS = 6  # of a group, to look at

Units = Callable[[], Iterator[Unit]]
Tell = Callable[[int], None]


@dataclass
class Report:
    """`findings` as plain data: {"key", "severity", "count", "values", "rows", "groups", "fixes"}; a row to
    look at is {"row", "side", "text"}; a fix {"key", "rows"}: how many it would leave out or change."""

    rows: int = 0
    findings: list[dict[str, Any]] = field(default_factory=list)
    coverage: dict[str, dict[str, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"rows": self.rows, "findings": self.findings, "coverage": self.coverage}


def look_through(units: Units, options: Options, *, tell: Tell | None = None) -> Report:
    """Everything that is to be said of the rows. `units` gives the same rows in the same order each time."""
    looks = [look(options) for look in PREPARATION_LOOKS]
    coverage = Coverage()
    report = Report()
    try:
        for index, unit in enumerate(units()):
            for look in looks:
                look.see(index, unit)
            coverage.see(unit)
            report.rows = index + 1
            if tell is not None and report.rows % 500 == 0:
                tell(report.rows)
        findings = [finding for look in looks for finding in look.findings()]
        findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
        fixes: dict[str, Fix] = {}
        for look in looks:
            fixes |= look.repairs()
        counts = _count_changes(units, fixes, findings)
        excerpts = _excerpts(units, findings)
        report.findings = [_described(finding, excerpts, counts, report.rows) for finding in findings]
        languages = next(look for look in looks if isinstance(look, Languages))
        report.coverage = coverage.to_json() | {"languages": languages.counts()}
        return report
    finally:
        for look in looks:
            look.close()


def _excerpts(units: Units, findings: list[Finding]) -> dict[int, dict[str, Any]]:
    grouped = chain.from_iterable(group[:GROUP_ROWS] for finding in findings for group in finding.groups)
    wanted = {*grouped, *(row for finding in findings for row in finding.first_rows())}
    found: dict[int, dict[str, Any]] = {}
    if not wanted:
        return found
    last = max(wanted)
    for index, unit in enumerate(units()):
        if index in wanted:
            found[index] = {"row": unit.row, "side": unit.side, "text": excerpt(unit)}
        if index == last:
            break
    return found


def excerpt(unit: Unit) -> str:
    """Beginnings of the prompt's last turn and of the answers, so that both are seen."""
    texts = [unit.messages[-1]["content"], *unit.answers]
    room = max(40, EXCERPT // len(texts))
    return " ⟶ ".join(_short(text, room) for text in texts[:4])


def _short(text: str, room: int) -> str:
    flat = " ".join(text[: room * 4].split())
    return flat if len(flat) <= room else f"{flat[: room - 1]}…"


def _count_changes(units: Units, fixes: dict[str, Fix], findings: list[Finding]) -> Counter:
    """How many rows each fix of a finding touches by itself."""
    offered = {name for finding in findings for name in finding.fixes}
    counts: Counter = Counter()
    changes = {}
    for name in offered & fixes.keys():
        fix = fixes[name]
        if isinstance(fix, Drop):
            counts[name] = len(set(fix.rows))
        else:
            changes[name] = fix
    if changes:
        for unit in units():
            for name, change in changes.items():
                counts[name] += change.rewrite(unit) != unit
    return counts


def _described(finding: Finding, excerpts: dict[int, Any], counts: Counter, total: int) -> dict[str, Any]:
    shown = [excerpts[row] for row in finding.first_rows() if row in excerpts]
    groups = [[excerpts[row] for row in group[:GROUP_ROWS] if row in excerpts] for group in finding.groups]
    return {
        "key": finding.key,
        "severity": finding.severity,
        "count": finding.count,
        "values": finding.values,
        "rows": shown,
        "groups": [
            {"size": len(group), "rows": rows} for group, rows in zip(finding.groups, groups, strict=True)
        ],
        "fixes": [{"key": name, "rows": counts[name], "of": total} for name in finding.fixes if counts[name]],
    }


class Plan:
    """Chosen fixes, worked out over all rows, to be carried out row by row in the same order.

    `counts`: {fix: rows left out or changed} of the rows carried out so far.
    """

    def __init__(
        self, units: Iterable[Unit], names: Iterable[str], options: Options, tell: Tell | None = None
    ):
        self.names = [name for name in FIXES if name in set(names)]
        self.counts: Counter = Counter()
        looks = [look(options) for look in PREPARATION_LOOKS if set(look.fixes) & set(self.names)]
        try:
            for index, unit in enumerate(units if looks else ()):
                for look in looks:
                    look.see(index, unit)
                if tell is not None and index % 500 == 499:
                    tell(index + 1)
            fixes: dict[str, Fix] = {}
            for look in looks:
                fixes |= look.repairs()
        finally:
            for look in looks:
                look.close()
        self._reasons: dict[int, str] = {}
        self._changes: list[tuple[str, Change]] = []
        for name in self.names:
            fix = fixes.get(name)
            if isinstance(fix, Drop):
                for row in fix.rows:
                    self._reasons.setdefault(int(row), name)
            elif fix is not None:
                self._changes.append((name, fix))

    def carry_out(self, index: int, unit: Unit) -> tuple[Unit | None, str]:
        """(the row as the fixes leave it, "") or (None, the fix that leaves it out)."""
        if (reason := self._reasons.get(index)) is not None:
            self.counts[reason] += 1
            return None, reason
        for name, change in self._changes:
            changed = change.rewrite(unit)
            if changed != unit:
                self.counts[name] += 1
                unit = changed
        return unit, ""
