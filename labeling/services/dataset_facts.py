"""What a version's data card says beyond its manifest: gathered while it is frozen, in the same snapshot.

Whole numbers and texts only, so that they come out alike wherever a version is rebuilt.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import combinations
from typing import Any

from labeling.formats import SPLITS, canonical_line
from labeling.models import (
    UNJUDGED,
    DatasetVersion,
    GuidelineVersion,
    ImportRecord,
    TaskKind,
)
from labeling.quality.agreement import pairwise_agreement

from .dataset_origins import Origin
from .selected_rows import Selected


def facts_digest(facts: dict[str, Any]) -> str:
    """SHA-256 of the facts in canonical form, as the audit trail keeps it."""
    return hashlib.sha256(canonical_line(facts)).hexdigest()


class FactGatherer:
    """Counts rows as they are written. Give it every row in the version's order, then ask `to_json`.

    Memory: one number per guideline version, language and set of files, and the rankings of the prompt at
    hand.
    """

    def __init__(self, version: DatasetVersion):
        self.version = version
        self.languages: dict[str, Counter] = {split: Counter() for split in SPLITS}
        self.guidelines: Counter = Counter()  # (kind of work, number)
        self.unreviewed = 0
        self.characters: dict[str, list[int]] = {}  # split -> [shortest, longest]
        self._prompt = ""
        self._rankings: dict[tuple[str, ...], list[list[int | None]]] = {}
        self.compared = self.agreed_twice = self.several = 0
        self.not_selected: dict[str, int] = {}  # what selection left out by reason, as the freeze counts it
        self.origins: Counter = Counter()  # few: rows differ, the files they are made of hardly do

    def add(self, split: str, selected: Selected) -> None:
        row = selected.present_row
        self.languages[split][selected.language] += 1
        self.origins[selected.origin] += 1
        size, bounds = selected.characters, self.characters.setdefault(split, [selected.characters] * 2)
        if size < bounds[0]:
            bounds[0] = size
        elif size > bounds[1]:
            bounds[1] = size
        source = row.get("source")
        if source is None:
            return
        is_edit = bool(row.get("edited_draft"))
        if source["guideline_version"] is not None:
            kind = TaskKind.RANKING if "ranks" in row and not is_edit else TaskKind.DEMONSTRATION
            self.guidelines[kind.value, source["guideline_version"]] += 1
        is_settled = "adjudication" in source  # nobody's own order
        self.unreviewed += source["review"] is None and source["import"] is None and not is_settled
        if "ranks" in row and not is_edit and not is_settled:
            self._add_ranking(row)

    def _add_ranking(self, row: dict[str, Any]) -> None:
        if row["prompt_id"] != self._prompt:  # rows of a prompt stand together
            self._compare()
            self._prompt = row["prompt_id"]
        shown = tuple([completion["id"] for completion in row["completions"]])
        self._rankings.setdefault(shown, []).append(row["ranks"])

    def _compare(self) -> None:
        for rankings in self._rankings.values():
            if len(rankings) > 1:
                # Plain counts, each two people weighing the same: they add up, and the card says so.
                found = [pairwise_agreement([pair], resamples=0) for pair in combinations(rankings, 2)]
                self.several += any(each.size for each in found)
                self.compared += sum(each.size for each in found)
                self.agreed_twice += sum(round(2 * (each.value or 0) * each.size) for each in found)
        self._rankings.clear()

    def to_json(self) -> dict[str, Any]:
        """Asks the database for names and licences, so call it inside the snapshot."""
        self._compare()
        sources = self._sources()
        facts: dict[str, Any] = {
            "languages": {split: dict(counts) for split, counts in self.languages.items()},
            "characters": dict(self.characters),
            "sources": sources,
            "rows_of_files": self._rows_of_files({each["import"] for each in sources if each["licence"]}),
            # A list: no database keeps the order of names, in which they are counted.
            "not_selected": [{"reason": each, "rows": rows} for each, rows in self.not_selected.items()],
        }
        if self.version.dataset.kind not in UNJUDGED:
            facts |= {"guidelines": self._guidelines(), "unreviewed": self.unreviewed}
            facts["ranked_by_several"] = self.several
            facts["agreement"] = {"compared": self.compared, "agreed_twice": self.agreed_twice}
        return facts

    def _sources(self) -> list[dict[str, Any]]:
        """Each file with the number of rows that hold something of it, and what of them is the file's."""
        rows: Counter[int] = Counter()
        parts: dict[str, Counter[int | None]] = {name: Counter() for name in Origin._fields}
        for origin, count in self.origins.items():
            for pk in origin.files:
                rows[pk] += count
            for name, found in zip(Origin._fields, origin, strict=True):
                for pk in found if isinstance(found, tuple) else (found,):
                    parts[name][pk] += count
        records = ImportRecord.objects.filter(pk__in=list(rows)).order_by("pk")
        return [
            {"import": pk, "file": name, "sha256": sha256, "licence": licence, "rows": rows[pk],
             "judgments": parts["judgment"][pk], "prompts": parts["prompt"][pk],
             "completions": parts["completions"][pk]}
            for pk, name, sha256, licence in records.values_list("pk", "filename", "sha256", "licence")
        ]  # fmt: skip

    def _rows_of_files(self, licensed: set[int]) -> dict[str, int]:
        """Rows that hold something of any file, and of one whose licence is not stated: each counted once."""
        held = {origin: count for origin, count in self.origins.items() if origin.files}
        unlicensed = sum(count for origin, count in held.items() if origin.files - licensed)
        return {"any": sum(held.values()), "without_licence": unlicensed}

    def _guidelines(self) -> list[dict[str, Any]]:
        versions = GuidelineVersion.objects.filter(guideline__project=self.version.dataset.project_id)
        digests = {
            (kind, number): sha256
            for kind, number, sha256 in versions.values_list("guideline__kind", "number", "sha256")
        }
        return [
            {"kind": kind, "number": number, "sha256": digests.get((kind, number), ""), "rows": rows}
            for (kind, number), rows in sorted(self.guidelines.items())
        ]
