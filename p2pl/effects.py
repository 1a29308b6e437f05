"""What a claim is about: one number a seed, defined before anybody looks.

    Difference     value(a) - value(b) at the end                                          percentage points
    RoundsRatio    log2( rounds(a) / rounds(b) ) to a test accuracy                        doublings
    PhaseGap       accuracy after cooperation - after learning, mean over rounds           percentage points
    Recovered      share of what c has more than b that a has more than b                 per cent
    Slope          least-squares slope of the RoundsRatio of many groups against a factor  doublings per unit

Seeds are paired: runs on graphs share data, graph, batch orders and first draws, and what they share cancels. FedAvg
starts from device 0's draw, whatever the others elect; centralized training has batch orders of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd

from p2pl.experiment import Experiment
from p2pl.stats import last_phase

Where = Mapping[str, Any]


class NotRun(LookupError):
    """The results lack what a claim speaks of."""


class Measured(NamedTuple):
    """An effect seen: one value a seed, and whether each is exact or only a bound that the run's end allowed.

    bound: -1 where the true value may be lower than what is said, 1 where it may be higher, NaN where either may be,
    0 where it is exact. unknown: of how many more seeds nothing can be said; they are not left out of a verdict.
    """

    values: pd.Series
    bound: pd.Series
    unknown: int = 0


class Effect(Protocol):
    """One number a seed, from the table of an experiment."""

    @property
    def unit(self) -> str:
        """Of the values, for the reader."""
        ...

    def measure(self, table: pd.DataFrame) -> Measured:
        """Raises NotRun if the table lacks what the effect speaks of, ValueError if it has several runs of a seed."""
        ...


def select(table: pd.DataFrame, where: Where) -> pd.DataFrame:
    """The rows that have these values in these columns. Raises NotRun if there are none: a claim about nothing."""
    found = table
    for column, value in where.items():
        found = found[found[column] == value] if column in found else found.iloc[:0]
    if found.empty:
        raise NotRun(f"no results with {dict(where)}")
    return found


def one_run_a_seed(table: pd.DataFrame, where: Where) -> pd.DataFrame:
    """The same rows. Raises ValueError if they are of several runs of a seed, which would be taken for one."""
    found = select(table, where)
    if found.duplicated(["seed", "round", "phase"]).any():
        raise ValueError(f"several runs of one seed with {dict(where)}: say which is meant")
    return found


def after_cooperation(table: pd.DataFrame, where: Where, value: str) -> pd.DataFrame:
    """A column for each seed, a row for each round that any of them reached; NaN where one has ended before.

    The start is round 0: a run that diverged before it was measured again is not left out.
    """
    found = last_phase(one_run_a_seed(table, where), run="seed")
    return found.pivot(index="round", columns="seed", values=value)


@dataclass(frozen=True)
class Difference:
    """value of `a` minus value of `b`, in percentage points, after the last cooperation.

    b: rows, or a number to compare with. Of a seed with a diverged run, the last difference that both have is a bound:
    a run that diverges counts as worse than what it was.
    """

    a: Where
    b: Where | float
    value: str = "accuracy_mean"
    value_of_b: str | None = None
    unit: str = "points"

    def measure(self, table: pd.DataFrame) -> Measured:
        first = after_cooperation(table, self.a, self.value)
        if isinstance(self.b, float):
            second = pd.DataFrame(self.b, index=first.index, columns=first.columns)
        else:
            second = after_cooperation(table, self.b, self.value_of_b or self.value)
        values = 100 * (first - second).ffill().iloc[-1].dropna()
        last = max(first.index.max(), second.index.max())
        worse, better = (side.reindex([last]).isna().iloc[0].astype(float) for side in (first, second))
        bound = (better - worse).mask((better > 0) & (worse > 0))
        return Measured(values, bound.reindex(values.index))


@dataclass(frozen=True)
class Recovered:
    """100 (a - b) / (c - b) at the end, in per cent; unknown for seeds in which b lost nothing, or one diverged."""

    a: Where
    b: Where
    c: Where
    value: str = "accuracy_mean"
    unit: str = "%"

    def measure(self, table: pd.DataFrame) -> Measured:
        sides = [after_cooperation(table, where, self.value) for where in (self.a, self.b, self.c)]
        last = max(side.index.max() for side in sides)
        first, second, third = (side.reindex([last]).iloc[0] for side in sides)
        lost = (third - second).where(third > second)
        values = 100 * (first - second) / lost
        known = values.dropna()
        return Measured(known, pd.Series(0.0, index=known.index), len(values) - len(known))


@dataclass(frozen=True)
class RoundsRatio:
    """log2 of (rounds of `a` / rounds of `b`) to a test accuracy: -1 means half the rounds.

    target: the accuracy; by default the `evaluation.target` of the runs of `a`. Rounds are interpolated between
    evaluations. A run that never got there counts as if it had at the end: the ratio is then a bound, from which side
    is said; if neither got there, it is unknown and the seed has no value.
    """

    a: Where
    b: Where
    target: float | None = None
    value: str = "accuracy_mean"
    unit: str = "log2 rounds"

    def measure(self, table: pd.DataFrame) -> Measured:
        target = self.target or target_of(table, self.a)
        first, second = (rounds_to(one_run_a_seed(table, where), self.value, target) for where in (self.a, self.b))
        both = first.add_suffix("_a").join(second.add_suffix("_b"), how="inner")
        known = both[both["reached_a"] | both["reached_b"]]
        values = (known["rounds_a"] / known["rounds_b"]).map(math.log2)
        bound = (~known["reached_a"]).astype(int) - (~known["reached_b"]).astype(int)
        return Measured(values, bound, unknown=len(both) - len(known))


def target_of(table: pd.DataFrame, where: Where) -> float:
    """The one `evaluation.target` of these runs. Raises ValueError if they have several."""
    specs = [table.attrs["specs"][run] for run in select(table, where)["run"].unique()]
    (target,) = {Experiment.of(spec).evaluation.target for spec in specs}
    return target


def rounds_to(table: pd.DataFrame, value: str, target: float) -> pd.DataFrame:
    """For each seed: `rounds` until the value at the end of a round reaches target, linear between evaluations.

    reached: whether it did; if not, `rounds` is where the runs ended (a diverged one would not have got there, either).
    """
    found = {}
    end = float(table["round"].max())
    for seed, rows in last_phase(table, run="seed").sort_values("round").groupby("seed"):
        rounds, values = rows["round"].to_numpy(float), rows[value].to_numpy(float)
        above = np.flatnonzero(values >= target)
        if not len(above):
            found[seed] = end, False
        elif above[0] == 0:
            found[seed] = max(rounds[0], 0.5), True  # there at once: half a round, so that a ratio can be taken
        else:
            i = above[0]
            share = (target - values[i - 1]) / (values[i] - values[i - 1])
            found[seed] = rounds[i - 1] + share * (rounds[i] - rounds[i - 1]), True
    return pd.DataFrame.from_dict(found, orient="index", columns=["rounds", "reached"]).rename_axis("seed")


@dataclass(frozen=True)
class PhaseGap:
    """Accuracy after cooperation minus after learning in the last third of the rounds, in points; less that of `b`.

    The swing between the two phases of a round: positive where cooperation restores what learning has taken away.
    """

    a: Where
    b: Where | None = None
    value: str = "accuracy_mean"
    unit: str = "points"

    def measure(self, table: pd.DataFrame) -> Measured:
        gaps = [self._gap(table, where) for where in (self.a, self.b) if where is not None]
        values = gaps[0] - gaps[1] if len(gaps) > 1 else gaps[0]
        known = values.dropna()
        return Measured(known, known * 0, unknown=len(values) - len(known))

    def _gap(self, table: pd.DataFrame, where: Where) -> pd.Series:
        """Of every seed; NaN for one whose run did not go to the end."""
        rows = one_run_a_seed(table, where)
        late = rows[rows["round"] > 2 / 3 * rows["round"].max()]
        phases = late.pivot_table(index="seed", columns="phase", values=self.value)
        if not {"learn", "cooperate"} <= set(phases):
            raise NotRun(f"no two phases with {dict(where)}")
        gap: pd.Series = 100 * (phases["cooperate"] - phases["learn"])
        last = rows.groupby("seed")["round"].max()
        return gap.reindex(last.index).where(last == last.max())


@dataclass(frozen=True)
class Slope:
    """How a RoundsRatio changes with a factor: its slope over the groups of rows that `by` tells apart, seed by seed.

    x: the factor, of the experiment of a group's runs. among: the groups whose label begins so. A seed for which some
    group has no value has none; one for which some group has only a bound has a bound, of unknown side if the groups
    pull to both.
    """

    effect: RoundsRatio
    by: str
    x: Callable[[Experiment], float]
    among: str = ""

    @property
    def unit(self) -> str:
        return self.effect.unit

    def measure(self, table: pd.DataFrame) -> Measured:
        groups = [label for label in table[self.by].unique() if str(label).startswith(self.among)]
        effects, factors, bounds = {}, {}, {}
        for label in groups:
            here = {self.by: label}
            part = replace(self.effect, a={**self.effect.a, **here}, b={**self.effect.b, **here})
            effects[label], bounds[label], _ = part.measure(table)
            runs = select(table, {**self.effect.a, **here})["run"].unique()
            (factors[label],) = {self.x(Experiment.of(table.attrs["specs"][run])) for run in runs}
        if len(set(factors.values())) < 2:
            raise NotRun(f"no two values of the factor among {groups}")
        complete = pd.DataFrame(effects).dropna()
        x = np.array([factors[label] for label in complete.columns])
        x = x - x.mean()
        slopes = complete @ x / (x @ x)
        pulls = np.sign(pd.DataFrame(bounds).loc[complete.index, complete.columns] * x)
        torn = (pulls.max(axis=1) > 0) & (pulls.min(axis=1) < 0) | pulls.isna().any(axis=1)
        return Measured(slopes, np.sign(pulls.sum(axis=1)).mask(torn), unknown=table["seed"].nunique() - len(complete))
