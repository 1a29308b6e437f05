"""Intervals over seeds that mean what they say: Student's t, always with n.

A run that has diverged has no rows from then on. One rule for what follows: **a curve ends before the first round that
not every one of its seeds reached**. Averages over the seeds that happen to survive would flatter the method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean with its confidence interval over n values. low and high are NaN for n = 1: one value has no spread."""

    mean: float
    low: float
    high: float
    n: int


def t_interval(values: Sequence[float] | np.ndarray | pd.Series, confidence: float = CONFIDENCE) -> Interval:
    """mean -+ t_{n-1} s / sqrt(n): covers the true mean with probability `confidence` if the values are normal.

    Raises ValueError if there are no values, or if one is not finite.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError(f"a t interval needs finite values, got {sample.tolist()}")
    mean, n = float(sample.mean()), int(sample.size)
    if n == 1:
        return Interval(mean, float("nan"), float("nan"), 1)
    half = _quantile(confidence, n - 1) * float(sample.std(ddof=1)) / n**0.5
    return Interval(mean, mean - half, mean + half, n)


def _quantile(confidence: float, degrees: int) -> float:
    """The two-sided quantile of Student's t."""
    return float(special.stdtrit(degrees, 0.5 + confidence / 2))


def last_phase(table: pd.DataFrame, run: str = "run") -> pd.DataFrame:
    """One row for each round and for the start: after cooperation, whether it ends the round or begins it.

    After learning, where only that was measured. run: the column that tells runs apart.
    """
    cooperated = (table["phase"] == "cooperate").groupby([table[run], table["round"]]).transform("any")
    return table[(table["phase"] != "learn") | ~cooperated].reset_index(drop=True)


def band(
    table: pd.DataFrame, by: Sequence[str], value: str, x: str = "round", confidence: float = CONFIDENCE
) -> pd.DataFrame:
    """Curves of `value` over `x`, one for each combination of the columns `by`, with t intervals over seeds.

    table: results of one phase, so that a seed has one row for each x. Returns the columns by, x, mean, low, high, n,
    without the points that fewer than all seeds of the curve have. Raises ValueError if a seed has several rows for
    one x: they would count as independent runs.
    """
    known = table.dropna(subset=[value])
    keys = [*by, x]
    if known.duplicated([*keys, "seed"]).any():
        raise ValueError(f"several rows for one seed of a curve: {keys} do not tell its curves and points apart")
    groups = known.groupby(keys, sort=False, dropna=False)[value]
    points = groups.agg(["mean", "std", "count"]).rename(columns={"count": "n"}).reset_index()
    half = points["std"] * points["n"].map(lambda n: _quantile(confidence, n - 1) / n**0.5 if n > 1 else np.nan)
    points = points.assign(low=points["mean"] - half, high=points["mean"] + half)
    seeds = table.groupby(list(by), sort=False, dropna=False)["seed"].nunique().rename("seeds").reset_index()
    points = points.merge(seeds, on=list(by))
    return points.loc[points["n"] == points["seeds"], [*keys, "mean", "low", "high", "n"]].reset_index(drop=True)


def paired_difference(a: pd.Series, b: pd.Series, confidence: float = CONFIDENCE) -> Interval:
    """The t interval of a - b over seeds, the indices of both: what the two share with a seed cancels.

    Raises ValueError unless both have the same seeds, each once.
    """
    if a.index.has_duplicates or b.index.has_duplicates or set(a.index) != set(b.index):
        raise ValueError(f"not paired: seeds {sorted(a.index)} against {sorted(b.index)}")
    return t_interval(a - b.reindex(a.index), confidence)


def first_reached(table: pd.DataFrame, by: Sequence[str], value: str, target: float) -> pd.DataFrame:
    """For each run the first round at which `value` is at least `target`: columns by, seed, reached, last.

    reached is <NA> for a run that never did within its `last` round: it is censored, not slow.
    """
    there = table["round"].astype("Int64").where(table[value] >= target)
    groups = table.assign(reached=there).groupby([*by, "seed"], sort=False, dropna=False)
    return groups.agg(reached=("reached", "min"), last=("round", "max")).reset_index()
