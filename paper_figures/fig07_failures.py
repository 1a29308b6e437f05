"""**What link failures cost.** Left: test accuracy of the mean device at the end of each round, when every link is down
with the given probability, independently in each round. All devices start alike, but for those with an elected start:
there the failures touch the election, too. Bands are 95 % Student-t intervals; axes logarithmic in the error. Right:
rounds until the mean device reaches the target of its row (the line in the panels on the left), against the rounds
without failures on the same seed: binary logarithm of the ratio, so that 1 means twice the rounds. Small marks: seeds
(triangles: only a bound is known, for a run ended before it got there); large marks: means over n = {seeds} seeds with
95 % Student-t intervals, open and without one where a seed is a bound. Dotted: half as many rounds again.
"""

from __future__ import annotations

from itertools import pairwise
from math import log2
from string import ascii_lowercase

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pl.effects import RoundsRatio, target_of
from p2pl.stats import last_phase
from paper_figures import style
from paper_figures.dots import dots, label_rows
from paper_figures.style import Look

NEEDS = ("failures",)

RATE = "failures.rate"


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["failures"]
    settings = style.unique(table, "arm")
    rates = style.ordered_looks(style.unique(table, RATE))
    figure = style.page(1.5 * -(-len(settings) // 2) + 1.9)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[2, 1])[0]
    axes = left.subplots(-(-len(settings) // 2), 2, squeeze=False)
    ends = last_phase(table)
    for ax, letter, setting in zip(axes.flat, ascii_lowercase, settings, strict=False):
        ax.set_xlabel("round")
        style.curves(ax, ends[ends["arm"] == setting], RATE, "accuracy_mean", rates)
        ax.axhline(100 * target_of(table, {"arm": setting}), color="0.4", linewidth=0.6)
        style.panel(ax, letter, style.words(setting))
        style.accuracy_axis([ax])
    for ax in axes.flat[len(settings) :]:
        ax.set_axis_off()
    for row in axes:
        row[0].set_ylabel("test accuracy (%)")
    style.legend(left, rates, title="probability that a link is down", columns=9)
    cost(right.subplots(), table, settings, rates)
    style.panel(right.axes[0], ascii_lowercase[len(settings)], "rounds against no failures")
    return figure


def cost(ax: Axes, table: pd.DataFrame, settings: list[str], rates: dict[float, Look]) -> None:
    """A row for each setting, and in it the ratios for every rate above the lowest, from the top down."""
    lowest, *others = rates
    for place, rate in enumerate(others):
        rows = {
            setting: RoundsRatio({"arm": setting, RATE: rate}, {"arm": setting, RATE: lowest}).measure(table)
            for setting in settings
        }
        dots(ax, rows, rates[rate], shift=0.8 * ((place + 0.5) / len(others) - 0.5))
    label_rows(ax, settings)
    ax.set_yticklabels([style.words(setting).replace(", ", ",\n") for setting in settings])
    for above, _ in pairwise(range(len(settings))):
        ax.axhline(above + 0.5, color="0.85", linewidth=0.6)
    ax.axvline(log2(1.5), color="0.4", linewidth=0.6, linestyle=":")
    ax.set_xlabel("log2 of the ratio of rounds")
