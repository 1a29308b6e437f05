"""**Is it the largest norm that helps at the start, or any common start?** Top: rounds until the mean device reaches
{target}, for each way to start, against independent starts on the same seed: binary logarithm of the ratio, so that -1
means half the rounds. Small marks: seeds (triangles: only a bound is known, for a run ended before it got there); large
marks: means over n = {seeds} seeds with 95 % Student-t intervals, open and without one where a seed is a bound. A
fraction is that of the rounds that an election takes. Bottom: test accuracy of the mean device at the end of each
round, for four of them; bands are 95 % Student-t intervals; the axis is logarithmic in the error.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from p2pl.effects import RoundsRatio
from p2pl.stats import last_phase
from paper_figures import style
from paper_figures.dots import dots, effects, label_rows

NEEDS = ("synchronization",)

CONTROL = "independent"
SHOWN = ("max_norm", "random_leader", "averaged", CONTROL)


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["synchronization"]
    topologies, ways = style.unique(table, "arm"), style.unique(table, "initialization")
    looks = style.looks([way for way in SHOWN if way in ways])
    figure = style.page(5.6)
    axes = figure.subplots(2, len(topologies), sharex="row", squeeze=False, height_ratios=[1.1, 1])
    letters = iter("abcdefgh")
    for column, topology in enumerate(topologies):
        ax, here = axes[0, column], {"arm": topology}
        ratios = {
            way: RoundsRatio({"initialization": way, **here}, {"initialization": CONTROL, **here})
            for way in ways
            if way != CONTROL
        }
        dots(ax, effects(table, ratios), style.Look(style.BLUE, "-", "o"))
        label_rows(ax, list(ratios), visible=column == 0)
        ax.set_xlabel("rounds against independent starts (log2 ratio)")
        style.panel(ax, next(letters), style.words(topology))
    ends = last_phase(table)
    for column, topology in enumerate(topologies):
        ax = axes[1, column]
        style.curves(ax, ends[ends["arm"] == topology], "initialization", "accuracy_mean", looks)
        ax.set_xlabel("round")
        style.panel(ax, next(letters), style.words(topology))
    style.accuracy_axis(axes[1])
    axes[1, 0].set_ylabel("test accuracy (%)")
    style.legend(figure, looks)
    return figure
