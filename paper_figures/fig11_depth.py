"""**Does it carry over to deeper networks, and does synchronization matter more there?** **a**, **b** Test accuracy of
the mean device at the end of each round, for networks with the given number of hidden layers, dark to light, of devices
that start from the draw of largest norm (max norm synchronization) and of devices that each start from their own. Lines
are means over n = {seeds} seeds, bands their 95 % Student-t intervals; a curve ends before the first round that not all
of its seeds reached. **c** The binary logarithm of the ratio of rounds until the mean device reaches {target}, max norm
against independent starts, paired by seed: -1 (dashed) means half the rounds. Small marks are seeds, large ones their
means with intervals. A triangle is a seed in which one of the two starts did not get there, and points to where the
ratio may lie beyond; a mean over such is open and has no interval. A cross at the top: seeds in which neither got
there, counted below it, which leaves no mean. **d** Test accuracy of the mean device after the last round ({rounds}); a
cross on the horizontal axis: a seed diverged, and there is no mean. The axes of accuracy are logarithmic in the error.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from p2pl.stats import last_phase
from paper_figures import style
from paper_figures.finals import draw_finals, final
from paper_figures.gains import LABEL, draw_gain, gains, levels

NEEDS = ("depth",)

DEPTH = "model.depth"


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["depth"]
    starts = style.looks(style.unique(table, "initialization"))
    figure = style.page(5.6)
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 1.1])[:, 0]
    curves(top, last_phase(table), list(starts))
    gain, end = bottom.subplots(1, 2)
    synchronized(gain, table)
    draw_finals(end, final(table, ["initialization", DEPTH], "accuracy_mean"), "initialization", DEPTH, starts)
    style.accuracy_axis([end])
    end.set_ylabel("test accuracy (%)")
    style.panel(end, "d", "after the last round")
    for ax in (gain, end):
        ax.set_xticks(style.unique(table, DEPTH))
    end.set_xlabel("hidden layers")
    style.legend(bottom, starts)
    return figure


def curves(figure: SubFigure, ends: pd.DataFrame, starts: list[str]) -> None:
    """Accuracy against rounds, a panel for each start."""
    looks = style.ordered_looks(style.unique(ends, DEPTH))
    axes = figure.subplots(1, len(starts), sharey=True, squeeze=False)[0]
    for ax, start, letter in zip(axes, starts, "ab", strict=True):
        style.curves(ax, ends[ends["initialization"] == start], DEPTH, "accuracy_mean", looks)
        ax.set_xlabel("round")
        style.panel(ax, letter, f"start: {style.words(start)}")
    axes[0].set_ylabel("test accuracy (%)")
    style.accuracy_axis(axes)
    style.legend(figure, looks, title="hidden layers", columns=9)


def synchronized(ax: Axes, table: pd.DataFrame) -> None:
    """What synchronization gains at each depth."""
    found = gains(table, DEPTH)
    (look,) = style.looks(["gain"]).values()
    levels(ax)
    for _, rows in found.groupby(DEPTH):
        draw_gain(ax, rows, DEPTH, look, aside=0)
    ax.margins(x=0.08)
    ax.set_xlabel("hidden layers")
    ax.set_ylabel(LABEL)
    style.panel(ax, "c", "gain from synchronization")
