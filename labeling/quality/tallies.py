"""Measures read off counts that add up, so that one pass over the judgments serves every table and interval.

Each task contributes one row of numbers; a measure is a function of the rows' sum. A bootstrap over tasks is
then a reweighting of rows. `read` functions take sums, (draws, columns), and answer (draws,) values, NaN
where the measure is undefined.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .agreement import Estimate
from .intervals import percentile_interval

Read = Callable[[np.ndarray], np.ndarray]
MOST_UNITS = 1_000  # drawn one by one


def resampled_sums(rows: np.ndarray, resamples: int, seed: int = 0) -> np.ndarray:
    """Sums of `resamples` bootstrap draws of rows, (resamples, columns). The same seed, the same draws.

    More than MOST_UNITS rows are first dealt at random into that many groups, which are then drawn: the sums
    spread alike (groups of independent rows are independent), at a cost that no longer grows.
    """
    rng = np.random.default_rng(seed)
    if len(rows) > MOST_UNITS:
        rows = sum_by(rows, rng.permutation(len(rows)) % MOST_UNITS)
    count = len(rows)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples)  # (resamples, rows)
    return drawn.astype(float) @ rows


def estimates(
    rows: np.ndarray,
    reads: Sequence[tuple[Read, int]],
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Estimate]:
    """One estimate per (measure, its size), all on the same draws. rows: (tasks, columns)."""
    rows = np.asarray(rows, dtype=float)
    if not len(rows):
        return [Estimate(None, None, 0) for _ in reads]
    total = rows.sum(axis=0)[None]
    draws = resampled_sums(rows, resamples, seed)
    found = []
    for read, size in reads:
        value = read(total)[0]
        if np.isnan(value):
            found.append(Estimate(None, None, size))
            continue
        drawn = read(draws)
        interval = percentile_interval(drawn[~np.isnan(drawn)].tolist(), confidence)
        found.append(Estimate(float(value), interval, size))
    return found


def sum_by(rows: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Rows of one group added up; groups in ascending order. groups: (rows,) whole numbers."""
    if not len(rows):
        return rows
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    return np.add.reduceat(rows[order], starts, axis=0)


def divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """top / bottom, NaN where the bottom is zero."""
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom != 0)


def ratio(top: int, bottom: int) -> Read:
    """Column over column."""
    return lambda sums: divide(sums[:, top], sums[:, bottom])


# --- Krippendorff's alpha from coincidences ---------------------------------------------------------------
def coincidences(counts: np.ndarray) -> np.ndarray:
    """Each unit's coincidence matrix, flat. counts: (units, values), how often each value was given.

    Units with fewer than two ratings contribute nothing.
    """
    raters = counts.sum(axis=1)
    share = divide(np.ones(len(counts)), np.where(raters > 1, raters - 1, 0))
    weighted = np.nan_to_num(counts * share[:, None])  # (units, values)
    table = counts[:, :, None] * weighted[:, None, :]  # (units, values, values)
    diagonal = np.arange(counts.shape[1])
    table[:, diagonal, diagonal] -= weighted
    return table.reshape(len(counts), counts.shape[1] ** 2)


def alpha_reader(level: str, scale: Sequence[float], first_column: int = 0) -> Read:
    """Alpha at a level (nominal, ordinal, interval) from summed coincidences over `scale`."""
    values = np.asarray(scale, dtype=float)
    size = len(values)
    if level not in ("nominal", "ordinal", "interval"):
        raise ValueError(f"unknown level {level!r}; it is nominal, ordinal or interval")

    def read(sums: np.ndarray) -> np.ndarray:
        table = sums[:, first_column : first_column + size * size].reshape(-1, size, size)
        marginal = table.sum(axis=1)  # (draws, values)
        apart = _distances(level, values, marginal)
        observed = (table * apart).sum(axis=(1, 2))
        expected = np.einsum("ri,rij,rj->r", marginal, apart, marginal)
        return 1 - divide((marginal.sum(axis=1) - 1) * observed, expected)

    return read


def _distances(level: str, values: np.ndarray, marginal: np.ndarray) -> np.ndarray:
    """(draws, values, values)"""
    if level == "ordinal":
        at = np.cumsum(marginal, axis=1) - marginal / 2
        return (at[:, :, None] - at[:, None, :]) ** 2
    size = len(values)
    flat = 1.0 - np.eye(size) if level == "nominal" else (values[:, None] - values[None, :]) ** 2
    return np.broadcast_to(flat, (len(marginal), size, size))


# --- Kappas ---------------------------------------------------------------------------------------------
def fleiss_rows(counts: np.ndarray) -> np.ndarray:
    """Each unit's (1, agreement within it, share of each category). counts: (units, categories)."""
    raters = counts.sum(axis=1)
    agreement = divide((counts**2).sum(axis=1) - raters, raters * (raters - 1))
    shares = divide(counts, np.broadcast_to(raters[:, None], counts.shape))
    rows = np.column_stack([np.ones(len(counts)), agreement, shares])
    rows[raters < 2] = 0
    return rows


def read_fleiss(sums: np.ndarray) -> np.ndarray:
    units = sums[:, 0]
    observed = divide(sums[:, 1], units)
    chance = (divide(sums[:, 2:], np.broadcast_to(units[:, None], sums[:, 2:].shape)) ** 2).sum(axis=1)
    return divide(observed - chance, 1 - chance)


def cohen_reader(size: int, weights: str | None = None, first_column: int = 0) -> Read:
    """Cohen's kappa from a summed flat confusion matrix of two people, (size × size)."""
    apart = disagreement_weights(size, weights)

    def read(sums: np.ndarray) -> np.ndarray:
        table = sums[:, first_column : first_column + size * size].reshape(-1, size, size)
        rows, columns = table.sum(axis=2), table.sum(axis=1)
        total = table.sum(axis=(1, 2))
        expected = divide(np.einsum("ri,ij,rj->r", rows, apart, columns), total)
        return 1 - divide((table * apart).sum(axis=(1, 2)), expected)

    return read


def disagreement_weights(size: int, weights: str | None) -> np.ndarray:
    """How far two categories are apart: all alike (None), by steps (linear) or steps squared (quadratic)."""
    steps = np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(float)
    try:
        return {None: (steps > 0).astype(float), "linear": steps, "quadratic": steps**2}[weights]
    except KeyError:
        raise ValueError(f"unknown weights {weights!r}; they are None, linear or quadratic") from None
