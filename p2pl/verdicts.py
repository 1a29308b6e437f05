"""From results to a verdict: an effect with its interval over paired seeds, and a rule written beside the claim.

    effect   one number a seed, defined before anybody looks: `Difference`, `RoundsRatio`
    rule     `above(c)`, `below(c)`: the whole 95 % interval on one side of c; `within(c)`: inside -c..c
    verdict  holds | does not hold | undecided

A claim *does not hold* when the interval lies wholly where the rule forbids it to be; everything between is undecided.
So a null effect is called an effect at most as often as the interval misses: 2.5 % on either side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import pandas as pd

from p2pl.stats import Interval, t_interval

Where = Mapping[str, Any]
Verdict = Literal["holds", "does not hold", "undecided", "not run"]


class NotRun(LookupError):
    """The results lack what a claim speaks of."""


class Measured(NamedTuple):
    """An effect seen: one value a seed, and whether each is exact or only a bound that the run's end allowed.

    bound: -1 where the true value may be lower than what is said, 1 where it may be higher, 0 where it is exact.
    """

    values: pd.Series
    bound: pd.Series


class Effect(Protocol):
    """One number a seed, from the table of an experiment."""

    @property
    def unit(self) -> str:
        """Of the values, for the reader."""
        ...

    def measure(self, table: pd.DataFrame) -> Measured: ...


def select(table: pd.DataFrame, where: Where) -> pd.DataFrame:
    """The rows that have these values in these columns. Raises NotRun if there are none: a claim about nothing."""
    found = table
    for column, value in where.items():
        found = found[found[column] == value] if column in found else found.iloc[:0]
    if found.empty:
        raise NotRun(f"no results with {dict(where)}")
    return found


def by_seed(table: pd.DataFrame, where: Where, value: str, round: int | None, phase: str) -> pd.Series:
    """One value a seed: of `phase` in `round`, or in the last round that every seed of these rows reached."""
    rows = select(table, {**where, "phase": phase})
    last = int(rows.groupby("seed")["round"].max().min()) if round is None else round
    return rows[rows["round"] == last].set_index("seed")[value].dropna()


@dataclass(frozen=True)
class Difference:
    """value of `a` minus value of `b`, in percentage points, seed by seed, after cooperation in `round` (the last)."""

    a: Where
    b: Where
    value: str = "accuracy_mean"
    round: int | None = None
    unit: str = "points"

    def measure(self, table: pd.DataFrame) -> Measured:
        first, second = (by_seed(table, where, self.value, self.round, "cooperate") for where in (self.a, self.b))
        values = 100 * (first - second).dropna()
        return Measured(values, values * 0)


@dataclass(frozen=True)
class RoundsRatio:
    """log2 of (rounds of `a` / rounds of `b`) to a test accuracy: -1 means half the rounds.

    Rounds are interpolated between evaluations. A run that never got there counts as if it had at its end: the ratio
    is then a bound, from which side is said; if neither got there, it is unknown and the seed has no value.
    """

    a: Where
    b: Where
    target: float
    value: str = "accuracy_mean"
    unit: str = "log2 rounds"

    def measure(self, table: pd.DataFrame) -> Measured:
        first, second = (rounds_to(select(table, where), self.value, self.target) for where in (self.a, self.b))
        both = first.add_suffix("_a").join(second.add_suffix("_b"), how="inner")
        known = both[both["reached_a"] | both["reached_b"]]
        values = (known["rounds_a"] / known["rounds_b"]).map(math.log2)
        return Measured(values, (~known["reached_a"]).astype(int) - (~known["reached_b"]).astype(int))


def rounds_to(table: pd.DataFrame, value: str, target: float) -> pd.DataFrame:
    """For each seed: `rounds` until the value at the end of a round reaches target, linear between evaluations.

    reached: whether it did; if not, `rounds` is where the run ended.
    """
    found = {}
    for seed, rows in table[table["phase"] != "learn"].sort_values("round").groupby("seed"):
        rounds, values = rows["round"].to_numpy(float), rows[value].to_numpy(float)
        above = np.flatnonzero(values >= target)
        if not len(above):
            found[seed] = rounds[-1], False
        elif above[0] == 0:
            found[seed] = max(rounds[0], 0.5), True  # there at once: half a round, so that a ratio can be taken
        else:
            i = above[0]
            share = (target - values[i - 1]) / (values[i] - values[i - 1])
            found[seed] = rounds[i - 1] + share * (rounds[i] - rounds[i - 1]), True
    return pd.DataFrame.from_dict(found, orient="index", columns=["rounds", "reached"]).rename_axis("seed")


@dataclass(frozen=True)
class Rule:
    """Which intervals bear a claim out, and which refute it. mean: what the mean must reach besides (None: nothing)."""

    kind: Literal["above", "below", "within"]
    limit: float
    mean: float | None = None

    def judge(self, interval: Interval, bound: pd.Series) -> Verdict:
        """A verdict. A bound on the side that could hide what speaks against the claim keeps it undecided."""
        if interval.n < 2:
            return "undecided"
        unsafe = {"above": bound < 0, "below": bound > 0, "within": bound != 0}[self.kind]
        if self._holds(interval) and not unsafe.any():
            return "holds"
        if self._fails(interval) and not bound.any():
            return "does not hold"
        return "undecided"

    def _holds(self, interval: Interval) -> bool:
        if self.kind == "within":
            return -self.limit < interval.low and interval.high < self.limit
        if self.kind == "above":
            return interval.low > self.limit and (self.mean is None or interval.mean >= self.mean)
        return interval.high < self.limit and (self.mean is None or interval.mean <= self.mean)

    def _fails(self, interval: Interval) -> bool:
        if self.kind == "within":
            return interval.low > 0 or interval.high < 0
        return interval.high < self.limit if self.kind == "above" else interval.low > self.limit

    def __str__(self) -> str:
        if self.kind == "within":
            return f"the interval lies within ±{self.limit:g}; one that excludes 0 refutes it"
        besides = "" if self.mean is None else f" and the mean is {self.kind} or at {self.mean:g}"
        return f"the interval lies {self.kind} {self.limit:g}{besides}"


def above(limit: float, mean: float | None = None) -> Rule:
    return Rule("above", limit, mean)


def below(limit: float, mean: float | None = None) -> Rule:
    return Rule("below", limit, mean)


def within(limit: float) -> Rule:
    return Rule("within", limit)


@dataclass(frozen=True)
class Claim:
    """A statement in our words, where it is from, the experiment and the effect that decide it, and by which rule."""

    name: str
    says: str
    source: str
    experiment: str
    effect: Effect
    holds_if: Rule


class Judgement(NamedTuple):
    """A claim with what was seen. bounded: of how many seeds the value is only a bound."""

    claim: Claim
    interval: Interval
    bounded: int
    verdict: Verdict


def judge(claim: Claim, tables: Mapping[str, pd.DataFrame]) -> Judgement:
    """The verdict on a claim from the tables of results, by experiment; `not run` if its rows are not in them.

    Raises ValueError if there is no table of its experiment at all.
    """
    if claim.experiment not in tables:
        raise ValueError(f"claim '{claim.name}' is about '{claim.experiment}', of which there is no table")
    nothing = Interval(float("nan"), float("nan"), float("nan"), 0)
    try:
        values, bound = claim.effect.measure(tables[claim.experiment])
    except NotRun:
        return Judgement(claim, nothing, 0, "not run")
    if len(values) == 0:
        return Judgement(claim, nothing, 0, "undecided")
    interval = t_interval(values)
    return Judgement(claim, interval, int((bound != 0).sum()), claim.holds_if.judge(interval, bound))
