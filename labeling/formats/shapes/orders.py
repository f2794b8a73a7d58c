"""Weak orders as files write them -> tiers of indices, the best first."""

from ..chat import describe_type
from ..errors import RowError

Tiers = tuple[tuple[int, ...], ...]


def tiers_from_ranking(ranking, unrankable, completions) -> Tiers:
    """`ranking`: [[best ids], [next], …]; `unrankable`: ids in no tier, or None. Each id exactly once."""
    keys = [completion.key for completion in completions]
    for number, key in enumerate(keys, start=1):
        if not key:
            raise RowError("missing", field=f"completions[{number}].id", hint="The ranking refers to it.")
        if keys.index(key) != number - 1:
            raise RowError(f"id {key!r} is given to two completions", field=f"completions[{number}].id")
    if type(ranking) is not list:
        raise RowError(
            f"must be a list of lists of ids, not {describe_type(ranking)}",
            field="ranking",
            hint='Such as [["best"], ["second", "equal to second"]].',
        )
    if not ranking:
        raise RowError("empty", field="ranking")
    seen: set[str] = set()
    tiers = tuple(_indices(tier, keys, seen, "ranking") for tier in ranking)
    if unrankable:
        _indices(unrankable, keys, seen, "unrankable")
    left_out = [key for key in keys if key not in seen]
    if left_out:
        raise RowError(f"id {left_out[0]!r} is left out", field="ranking")
    return tiers


def _indices(tier, keys, seen, field):
    if type(tier) is not list:
        raise RowError(f"must hold lists of ids, not {describe_type(tier)}", field=field)
    if not tier:
        raise RowError("has an empty tier", field=field)
    indices = []
    for key in tier:
        if type(key) not in (str, int) or str(key) not in keys:
            raise RowError(f"unknown id {str(key)[:40]}", field=field)
        if str(key) in seen:
            raise RowError(f"id {str(key)!r} is there twice", field=field)
        seen.add(str(key))
        indices.append(keys.index(str(key)))
    return tuple(indices)


def tiers_from_ranks(ranks, size) -> Tiers:
    """`ranks`: one number per completion, 1 = best, equal = tie, null = unrankable; gaps do not matter."""
    if type(ranks) is not list:
        raise RowError(f"must be a list of numbers, not {describe_type(ranks)}", field="ranks")
    if len(ranks) != size:
        raise RowError(f"{len(ranks)} ranks for {size} completions", field="ranks")
    for rank in ranks:
        if rank is not None and type(rank) not in (int, float):
            raise RowError(f"must hold numbers or null, not {describe_type(rank)}", field="ranks")
    levels = sorted({rank for rank in ranks if rank is not None})
    if not levels:
        raise RowError("nothing is ranked", field="ranks")
    return tuple(tuple(i for i, rank in enumerate(ranks) if rank == level) for level in levels)
