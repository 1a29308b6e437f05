"""**How messages are lost, or late.** Rows: what becomes of the messages; all that lose any lose the same share of them
(devices that are away, the same share of links; lost packets, of the parts of each message). All devices start alike,
for an election that suffers losses would change the start as well. Against the loss-free channel, seed by seed: (a)
rounds until the mean device reaches {target}, as the binary logarithm of the ratio (1: twice the rounds); (b) final
test accuracy of the worst device; (c) final consensus distance, as the binary logarithm of the ratio. Small marks:
seeds (triangles: only a bound is known); large marks: means over n = {seeds} seeds with 95 % Student-t intervals, open
and without one where a seed is a bound.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from p2pl.effects import Difference, Measured, RoundsRatio, Where, after_cooperation
from paper_figures import style
from paper_figures.dots import dots, label_rows

NEEDS = ("channels",)

CONTROL = "none"


def rounds(table: pd.DataFrame, a: Where, b: Where) -> Measured:
    return RoundsRatio(a, b).measure(table)


def worst(table: pd.DataFrame, a: Where, b: Where) -> Measured:
    return Difference(a, b, "accuracy_min").measure(table)


def distance(table: pd.DataFrame, a: Where, b: Where) -> Measured:
    """log2 of the ratio of the final consensus distances."""
    ratio = after_cooperation(table, a, "consensus_distance") / after_cooperation(table, b, "consensus_distance")
    values = ratio.iloc[-1].dropna().map(np.log2)
    return Measured(values, values * 0)


PANELS: dict[str, Callable[[pd.DataFrame, Where, Where], Measured]] = {
    "rounds to the target: log2 ratio": rounds,
    "worst device at the end: points": worst,
    "consensus distance at the end: log2 ratio": distance,
}


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["channels"]
    looks = style.looks(style.unique(table, "arm"))
    failures = [failure for failure in style.unique(table, "failures") if failure != CONTROL]
    figure = style.page(0.9 + 0.3 * len(failures))
    axes = figure.subplots(1, len(PANELS), squeeze=False)[0]
    for ax, letter, (label, measure) in zip(axes, "abc", PANELS.items(), strict=True):
        for place, (topology, look) in enumerate(looks.items()):
            here = {"arm": topology}
            rows = {one: measure(table, {"failures": one, **here}, {"failures": CONTROL, **here}) for one in failures}
            dots(ax, rows, look, shift=0.3 * (place - (len(looks) - 1) / 2))
        label_rows(ax, failures, visible=ax is axes[0])
        what, unit = label.split(": ")
        ax.set_xlabel(f"{unit} against no losses")
        style.panel(ax, letter, what)
    style.legend(figure, looks, title="graph")
    return figure
