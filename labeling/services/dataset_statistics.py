"""What a manifest says about a version's rows: counts by split, category, source and more, as plain JSON."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

import numpy

from labeling.formats import SPLITS, pairs_from_ranks
from labeling.models import UNJUDGED, DatasetKind

from .selected_rows import Selected

# Upper edges of the length histogram, in characters; powers of two, so that short and long texts both show.
LENGTH_EDGES = tuple(2**power for power in range(4, 21))


_LINEAGE = (
    ("annotators", "annotator"),
    ("guideline_versions", "guideline_version"),
    ("reviews", "review"),
    ("imports", "import"),
    ("batches", "batch"),
)


def length_bin(characters: int) -> int:
    """The upper edge that a text of this length falls under; the last one holds all longer ones too."""
    # Between 2^(n-1) and 2^n - 1 characters have n binary digits.
    return min(max(1 << characters.bit_length(), LENGTH_EDGES[0]), LENGTH_EDGES[-1])


def _decided_pairs(ranks: list[int | None]) -> int:
    if len(ranks) == 2:  # what most versions are made of
        return int(ranks[0] != ranks[1] and None not in ranks)
    return sum(1 for _ in pairs_from_ranks(ranks))


class Statistics:
    """Counts rows as they are written. Everything is integers keyed by text, so that the bytes cannot
    differ."""

    def __init__(self, kind: str):
        self.kind = kind
        self._is_judged, self._is_ranked = kind not in UNJUDGED, kind == DatasetKind.COMPARISON
        self._prompts = array("q")  # of each row, where it is not that of the row before
        self.left_out: Counter = Counter()
        self.changed: Counter = Counter()  # rows that a filter or a fix masked or rewrote, by reason
        self.turns: Counter = Counter()
        self.pairs: Counter = Counter()
        self.sizes: Counter = Counter()
        self.by: dict[str, Counter] = {name: Counter() for name, _ in _LINEAGE}
        self.categories: dict[str, Counter] = {split: Counter() for split in SPLITS}
        self.lengths: dict[str, Counter] = {split: Counter() for split in SPLITS}
        self.characters: Counter = Counter()
        self.fields: Counter = Counter()  # rows that have each field of prompts

    def leave_out(self, selected: Selected) -> None:
        self.left_out[selected.left_out] += 1

    def add(self, split: str, selected: Selected) -> None:
        row = selected.present_row
        prompt = int(row["prompt_id"])
        if not self._prompts or self._prompts[-1] != prompt:
            self._prompts.append(prompt)
        self.turns["several" if selected.turns > 1 else "one"] += 1
        self.categories[split][selected.category] += 1
        self.lengths[split][str(length_bin(selected.characters))] += 1
        self.characters[split] += selected.characters
        if "fields" in row:
            self.fields.update(tuple(row["fields"]))
        if self._is_judged:
            self._add_source(row["source"])
        if "completions" in row:
            self.sizes[str(len(row["completions"]))] += 1
        if self._is_ranked:
            self.pairs[split] += _decided_pairs(row["ranks"])

    def _add_source(self, source: dict[str, Any]) -> None:
        for name, key in _LINEAGE:
            if source[key] is not None:
                self.by[name][str(source[key])] += 1

    def to_json(self) -> dict[str, Any]:
        statistics: dict[str, Any] = {
            "prompts": len(numpy.unique(numpy.frombuffer(self._prompts, dtype=numpy.int64))),
            "turns": dict(self.turns),
            "characters": dict(self.characters),
            "categories": {split: dict(counts) for split, counts in self.categories.items()},
            "lengths": {split: dict(counts) for split, counts in self.lengths.items()},
        }
        if self._is_judged:
            statistics["lineage"] = {name: dict(counts) for name, counts in self.by.items()}
        if self.kind in (DatasetKind.COMPARISON, DatasetKind.COMPLETIONS):
            statistics["completions_per_row"] = dict(self.sizes)
        if self._is_ranked:
            statistics["pairs"] = dict(self.pairs)
        if self.fields:  # only where the recipe includes some, as below
            statistics["fields"] = dict(self.fields)
        changed = {"changed": dict(self.changed)} if self.changed else {}  # none: manifests stay as they were
        return {"left_out": dict(self.left_out), **changed, "statistics": statistics}
