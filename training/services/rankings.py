"""Canonical comparisons of a dataset version as the trainer reads them."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def ranking_of(row: Row) -> Row | None:
    """A canonical comparison as the trainer reads it, empty completions left out; None of less than two."""
    kept = [
        (completion["text"], rank)
        for completion, rank in zip(row["completions"], row["ranks"], strict=True)
        if completion["text"].strip()
    ]
    if len(kept) < 2:
        return None
    texts, ranks = zip(*kept, strict=True)
    ranking = {"messages": row["messages"], "completions": list(texts), "ranks": list(ranks)}
    if (margins := row.get("margins")) is not None:
        # Places keep their numbers when a completion is left out, and so do the boundaries between them.
        ranking["margins"] = margins[: max((rank for rank in ranks if rank is not None), default=1) - 1]
    return ranking
