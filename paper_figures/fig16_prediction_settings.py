"""**In which settings the prediction holds.** Errors of predictions made from the initialization alone, by one
linearization, when one thing is changed at a time (rows, in the order of the table). Columns: the largest error over
all evaluated moments, after learning and after cooperation, in all devices' test outputs, in per cent of how far they
have moved; in the training loss, in per cent of that seen; in the mean device's test accuracy, in points; in the
disagreement (root mean square distance of the devices' parameters from their average), in per cent of that seen. Large
marks are means over n = {seeds} seeds with their 95 % Student-t intervals, small marks the seeds (intervals are cut
off at 0; axes are of square roots); dashed: the mean of the first row, {rounds} rounds of: {setting}.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pl.errors import Error
from p2pl.stats import t_interval
from paper_figures import style
from paper_figures.dots import dots, effects, label_rows
from paper_figures.style import Look

NEEDS = ("theory_settings.none.errors",)

MEASURES = {
    "test_predictions": ("test outputs", "%"),
    "train_loss": ("training loss", "%"),
    "test_accuracy": ("test accuracy", "points"),
    "disagreement": ("disagreement", "%"),
}
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
LOOK = Look(style.BLUE, "none", "o")


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    (table,) = results.values()
    arms = style.unique(table, "arm")
    figure = style.page(0.7 + 0.17 * len(arms))
    axes = figure.subplots(1, len(MEASURES), squeeze=False)[0]
    for ax, letter, (value, (said, unit)) in zip(axes, "abcd", MEASURES.items(), strict=True):
        rows = effects(table, {arm: Error({"arm": arm}, value, unit) for arm in arms})
        for height in range(1, len(arms), 2):
            ax.axhspan(height - 0.5, height + 0.5, color="0.96", zorder=0)
        first = rows[arms[0]]
        if len(first.values) and not first.unknown:
            ax.axvline(t_interval(first.values).mean, color="0.6", linewidth=0.7, linestyle=(0, (4, 2)))
        dots(ax, rows, LOOK)
        label_rows(ax, arms, visible=ax is axes[0])
        roots(ax)
        ax.grid(axis="y", visible=False)
        ax.set_xlabel(f"error ({unit})")
        style.panel(ax, letter, said)
    return figure


def roots(ax: Axes) -> None:
    """A horizontal axis of square roots from 0, which shows small errors beside large ones."""
    top = ax.get_xlim()[1]
    ax.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    ax.set_xlim(0, top)
    ticks = [tick for tick in TICKS if tick <= top]
    ax.set_xticks([0, *ticks[-4:]], [style.words(tick) for tick in (0.0, *ticks[-4:])])
