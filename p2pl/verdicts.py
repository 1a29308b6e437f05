"""From results to a verdict: an effect with its interval over paired seeds, and a rule written beside the claim.

    effect   one number a seed, defined before anybody looks: see `p2pl.effects`
    rule     `above(c)`, `below(c)`: the whole 95 % interval on one side of c; `within(c)`: inside -c..c
    verdict  holds | does not hold | undecided

A claim *does not hold* when the interval lies wholly where the rule forbids it to be; everything between is undecided.
So a null effect is called an effect at most as often as the interval misses: 2.5 % on either side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd

from p2pl.effects import Effect, Measured, NotRun
from p2pl.stats import Interval, t_interval

Verdict = Literal["holds", "does not hold", "undecided", "not run"]

NOTHING = Measured(pd.Series(dtype=float), pd.Series(dtype=float))
NO_INTERVAL = Interval(float("nan"), float("nan"), float("nan"), 0)


@dataclass(frozen=True)
class Rule:
    """Which intervals bear a claim out, and which refute it. mean: what the mean must reach besides (None: nothing)."""

    kind: Literal["above", "below", "within"]
    limit: float
    mean: float | None = None

    def judge(self, interval: Interval, bound: pd.Series) -> Verdict:
        """A verdict. A bound keeps it undecided where the true value may lie on the side that speaks against it."""
        if interval.n < 2:
            return "undecided"
        lower, higher = (bound < 0) | bound.isna(), (bound > 0) | bound.isna()  # what the true values may be
        if self._holds(interval):
            doubt = {"above": lower, "below": higher, "within": lower | higher}[self.kind]
            return "undecided" if doubt.any() else "holds"
        if self._fails(interval):
            doubt = higher if interval.high < (-self.limit if self.kind == "within" else self.limit) else lower
            return "undecided" if doubt.any() else "does not hold"
        return "undecided"

    def _holds(self, interval: Interval) -> bool:
        if self.kind == "within":
            return -self.limit < interval.low and interval.high < self.limit
        if self.kind == "above":
            return interval.low > self.limit and (self.mean is None or interval.mean >= self.mean)
        return interval.high < self.limit and (self.mean is None or interval.mean <= self.mean)

    def _fails(self, interval: Interval) -> bool:
        if self.kind == "within":
            return interval.low > self.limit or interval.high < -self.limit
        return interval.high < self.limit if self.kind == "above" else interval.low > self.limit

    def __str__(self) -> str:
        if self.kind == "within":
            return f"the interval lies within ±{self.limit:g}; one wholly outside refutes it"
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
    """A statement in our words, where it is from, the experiment and the effect that decide it, and by which rule.

    on: the data set that the claim is about; results of others say nothing of it. None for any.
    """

    name: str
    says: str
    source: str
    experiment: str
    effect: Effect
    holds_if: Rule
    on: str | None = None


class Judgement(NamedTuple):
    """A claim with what was seen, a value a seed, and their interval (NaN and n = 0 if there are none)."""

    claim: Claim
    measured: Measured
    interval: Interval
    verdict: Verdict

    @property
    def bounded(self) -> int:
        """Of how many seeds the value is only a bound."""
        return int((self.measured.bound != 0).sum())


def judge(claim: Claim, tables: Mapping[str, pd.DataFrame]) -> Judgement:
    """The verdict on a claim from the tables of results, by experiment; `not run` if its rows are not in them.

    Raises ValueError if there is no table of its experiment at all.
    """
    if claim.experiment not in tables:
        raise ValueError(f"claim '{claim.name}' is about '{claim.experiment}', of which there is no table")
    table = tables[claim.experiment]
    try:
        if claim.on not in (None, *table.attrs.get("data", {})):
            raise NotRun(f"the results are not of {claim.on}")
        return decide(claim, claim.effect.measure(table))
    except NotRun:
        return Judgement(claim, NOTHING, NO_INTERVAL, "not run")


def decide(claim: Claim, measured: Measured) -> Judgement:
    """The verdict on what was measured; undecided if of some seed nothing is known."""
    if len(measured.values) == 0:
        return Judgement(claim, measured, NO_INTERVAL, "undecided")
    interval = t_interval(measured.values)
    verdict = "undecided" if measured.unknown else claim.holds_if.judge(interval, measured.bound)
    return Judgement(claim, measured, interval, verdict)
