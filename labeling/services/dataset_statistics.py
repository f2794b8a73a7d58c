"""What a manifest says about a version's rows: counts by split, category, source and more, as plain JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from labeling.formats import SPLITS, pairs_from_ranks
from labeling.models import DatasetKind

from .dataset_rows import Selected

# Upper edges of the length histogram, in characters; powers of two, so that short and long texts both show.
LENGTH_EDGES = tuple(2**power for power in range(4, 21))


def length_bin(characters: int) -> int:
    """The upper edge that a text of this length falls under; the last one holds all longer ones too."""
    return next((edge for edge in LENGTH_EDGES if characters < edge), LENGTH_EDGES[-1])


class Statistics:
    """Counts rows as they are written. Everything is integers keyed by text, so that the bytes cannot
    differ."""

    def __init__(self, kind: str):
        self.kind = kind
        self.prompts: set[str] = set()
        self.left_out: Counter = Counter()
        self.changed: Counter = Counter()  # rows that a filter or a fix masked or rewrote, by reason
        self.turns: Counter = Counter()
        self.pairs: Counter = Counter()
        self.sizes: Counter = Counter()
        self.by: dict[str, Counter] = {
            name: Counter() for name in ("annotators", "guideline_versions", "reviews", "imports", "batches")
        }
        self.categories: dict[str, Counter] = {split: Counter() for split in SPLITS}
        self.lengths: dict[str, Counter] = {split: Counter() for split in SPLITS}
        self.characters: Counter = Counter()

    def leave_out(self, selected: Selected) -> None:
        self.left_out[selected.left_out] += 1

    def add(self, split: str, selected: Selected) -> None:
        row = selected.present_row
        self.prompts.add(row["prompt_id"])
        self.turns["several" if selected.turns > 1 else "one"] += 1
        self.categories[split][selected.category] += 1
        self.lengths[split][str(length_bin(selected.characters))] += 1
        self.characters[split] += selected.characters
        if self.kind != DatasetKind.PROMPTS:
            self._add_source(row["source"])
        if self.kind == DatasetKind.COMPARISON:
            self.sizes[str(len(row["completions"]))] += 1
            self.pairs[split] += sum(1 for _ in pairs_from_ranks(row["ranks"]))

    def _add_source(self, source: dict[str, Any]) -> None:
        names = {
            "annotators": "annotator",
            "guideline_versions": "guideline_version",
            "reviews": "review",
            "imports": "import",
            "batches": "batch",
        }
        for name, key in names.items():
            if source[key] is not None:
                self.by[name][str(source[key])] += 1

    def to_json(self) -> dict[str, Any]:
        statistics: dict[str, Any] = {
            "prompts": len(self.prompts),
            "turns": dict(self.turns),
            "characters": dict(self.characters),
            "categories": {split: dict(counts) for split, counts in self.categories.items()},
            "lengths": {split: dict(counts) for split, counts in self.lengths.items()},
        }
        if self.kind != DatasetKind.PROMPTS:
            statistics["lineage"] = {name: dict(counts) for name, counts in self.by.items()}
        if self.kind == DatasetKind.COMPARISON:
            statistics["completions_per_row"] = dict(self.sizes)
            statistics["pairs"] = dict(self.pairs)
        changed = {"changed": dict(self.changed)} if self.changed else {}  # none: manifests stay as they were
        return {"left_out": dict(self.left_out), **changed, "statistics": statistics}
