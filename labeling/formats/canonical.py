"""Rows of a dataset version, and their one byte form.

A version's file is these rows, one a line. The bytes are fixed: UTF-8, keys sorted, no blanks, "\\n" at the
end, so that the same rows give the same SHA-256 wherever they are written. docs/formats.md describes the
rows to people.
"""

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import orjson

from .errors import ExportError

# What people say at a boundary, as numbers for training: the small margins of Llama 2 (2307.09288, table 27).
MARGIN_VALUES = {"significantly": 1.0, "clearly": 2 / 3, "slightly": 1 / 3, "negligibly": 0.0}

DATASET_KINDS = ("sft", "comparison", "prompts", "completions")
Row = dict[str, Any]


def canonical_line(row: Mapping[str, Any]) -> bytes:
    """`row` as JSON in one line, keys sorted. Raises ExportError for what JSON cannot hold (NaN included)."""
    try:
        line = orjson.dumps(row, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    except TypeError as error:
        raise ExportError(f"a row that JSON cannot hold: {error}") from error
    # orjson writes NaN and infinities as null. Where the bytes say the same as the row, there were none:
    # reading them back costs a tenth of looking at every value.
    if b"null" in line and orjson.loads(line) != row and _has_unrepresentable_number(row):
        raise ExportError("a number that is not finite cannot be written as JSON")
    return line


def _has_unrepresentable_number(value):
    if type(value) is float:
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(_has_unrepresentable_number(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_has_unrepresentable_number(item) for item in value)
    return False


def sft_row(
    *, id: str, prompt_id: str, messages: Sequence[Mapping[str, str]], answer: str, source: Mapping[str, Any]
) -> Row:
    """A demonstration. `messages` is the prompt, which ends with the user; the answer becomes the last turn.

    `source` is lineage: judgment, annotator (pseudonym), guideline_version, review, import.
    """
    return {
        "id": id,
        "prompt_id": prompt_id,
        "messages": [*_prompt_turns(messages), {"role": "assistant", "content": answer}],
        "source": dict(source),
    }


def comparison_row(
    *,
    id: str,
    prompt_id: str,
    messages: Sequence[Mapping[str, str]],
    completions: Sequence[Mapping[str, Any]],
    ranks: Sequence[int | None],
    margins: Sequence[float | None] | None = None,
    unrankable_reasons: Mapping[str, Mapping[str, str]] | None = None,
    source: Mapping[str, Any],
) -> Row:
    """A K-wise ranking. `completions`: {"id", "text", "generator"}; `ranks`: 1 = best, equal = tie, None =
    unrankable, one per completion; `margins`: one per boundary between neighbouring ranks, or None;
    `unrankable_reasons`: {id: {"reason", "note"}}, only in the row where somebody gave one.

    Ranks are renumbered without gaps. Raises ExportError where lengths or ids do not fit.
    """
    if len(ranks) != len(completions):
        raise ExportError(f"{len(ranks)} ranks for {len(completions)} completions")
    if len({completion["id"] for completion in completions}) != len(completions):
        raise ExportError("two completions of a row have the same id")
    dense = dense_ranks(ranks)
    if margins is not None:
        boundaries = max((rank for rank in dense if rank is not None), default=1) - 1
        if len(margins) != boundaries:
            raise ExportError(f"{len(margins)} margins for {boundaries} boundaries")
    row = {
        "id": id,
        "prompt_id": prompt_id,
        "messages": _prompt_turns(messages),
        "completions": [
            {"id": c["id"], "text": c["text"], "generator": c.get("generator") or ""} for c in completions
        ],
        "ranks": dense,
        "margins": None if margins is None else list(margins),
        "source": dict(source),
    }
    if unrankable_reasons:
        row["unrankable_reasons"] = {**unrankable_reasons}
    return row


def prompt_row(*, id: str, prompt_id: str, messages: Sequence[Mapping[str, str]]) -> Row:
    return {"id": id, "prompt_id": prompt_id, "messages": _prompt_turns(messages)}


def completions_row(
    *, prompt_id: str, messages: Sequence[Mapping[str, str]], completions: Sequence[Mapping[str, Any]]
) -> Row:
    """All completions of a prompt, in no order: {"id", "text", "generator"}, and where there are some
    "sampling" (settings) and "source" (lineage). The row goes by the prompt's id."""
    return {
        "id": prompt_id,
        "prompt_id": prompt_id,
        "messages": _prompt_turns(messages),
        "completions": [dict(completion) for completion in completions],
    }


def _prompt_turns(messages):
    if not messages or messages[-1]["role"] != "user":
        raise ExportError("a prompt ends with the user")
    return [{"role": m["role"], "content": m["content"]} for m in messages]


def dense_ranks(ranks: Sequence[float | None]) -> list[int | None]:
    """The same weak order numbered 1, 2, 3, … without gaps.

    >>> dense_ranks([4, 1, None, 4])
    [2, 1, None, 2]
    """
    levels = sorted({rank for rank in ranks if rank is not None})
    place: dict[Any, int | None] = {level: number for number, level in enumerate(levels, start=1)}
    place[None] = None
    return [place[rank] for rank in ranks]


def tiers_from_ranks(ranks: Sequence[int | None]) -> list[list[int]]:
    """Indices by rank, the best first; unrankable ones are in no tier."""
    levels = sorted({rank for rank in ranks if rank is not None})
    return [[i for i, rank in enumerate(ranks) if rank == level] for level in levels]


def ranks_from_tiers(tiers: Sequence[Sequence[int]], size: int) -> list[int | None]:
    """The inverse of `tiers_from_ranks` for `size` completions."""
    ranks: list[int | None] = [None] * size
    for rank, tier in enumerate(tiers, start=1):
        for index in tier:
            ranks[index] = rank
    return ranks


def ranks_by_id(tiers: Iterable[Iterable[Hashable]], ids: Sequence[Hashable]) -> list[int | None]:
    """Ranks in the order of `ids` of an order written as tiers of ids; an id in no tier is unrankable.

    Raises ExportError for an id that is unknown or in two tiers.

    >>> ranks_by_id([["b"], ["a", "c"]], ["a", "b", "c", "d"])
    [2, 1, 2, None]
    """
    ranks: dict[Hashable, int] = {}
    for rank, tier in enumerate(tiers, start=1):
        for key in tier:
            if key not in ids or key in ranks:
                raise ExportError(f"id {key!r} is {'in two tiers' if key in ranks else 'unknown'}")
            ranks[key] = rank
    return [ranks.get(key) for key in ids]


def pairs_from_ranks(ranks: Sequence[int | None]) -> Iterator[tuple[int, int]]:
    """(index of the better, index of the worse) for each pair that is decided; ties and unrankables give
    none.

    >>> list(pairs_from_ranks([2, 1, 2, None]))
    [(1, 0), (1, 2)]
    """
    for (first, left), (second, right) in combinations(enumerate(ranks), 2):
        if left is None or right is None or left == right:
            continue
        yield (first, second) if left < right else (second, first)


def pair_margin(ranks: Sequence[int | None], margins: Sequence[float | None] | None, pair: tuple[int, int]):
    """Sum of the margins of the boundaries between the two, or None where one of them is not known."""
    if margins is None:
        return None
    better, worse = (rank or 0 for rank in (dense_ranks(ranks)[index] for index in pair))
    between = [margin for margin in margins[better - 1 : worse - 1] if margin is not None]
    return sum(between) if len(between) == worse - better else None
