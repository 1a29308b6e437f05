"""**Which learning rate suits each method?** Test accuracy of the mean device after the last round ({rounds}) against
the learning rate (logarithmic axis), for one method in each panel; pale: the other methods. Marks are means over n =
{seeds} seeds, bars their 95 % Student-t intervals, on seeds that no comparison uses; a cross on the horizontal axis: a
seed diverged, and the value cannot be chosen. The ring and the title show the value with which the methods are
compared: the smallest whose mean is within one standard error of the highest. Where it lies at the edge of the values
tried, an arrow points on: a better one may lie beyond. The axis of accuracy is logarithmic in the error.
"""

from __future__ import annotations

from string import ascii_lowercase

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pl.tuning import tune
from paper_figures import style
from paper_figures.finals import draw_finals, final, stretches, values_axis, zoomed_accuracy_axis
from paper_figures.style import Look

NEEDS = ("learning_rates",)

RATE = "training.lr"
COLUMNS = 4


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["learning_rates"]
    arms = style.unique(table, "arm")
    looks = {arm: look._replace(marker="o") for arm, look in style.looks(arms, style.REFERENCES).items()}
    points = final(table, ["arm", RATE], "accuracy_mean")
    tuned = tune(table)
    rows = -(-len(arms) // COLUMNS)
    figure = style.page(0.4 + 1.6 * rows)
    axes = figure.subplots(rows, COLUMNS, sharey=True, squeeze=False)
    for ax in axes.flat[len(arms) :]:
        ax.set_axis_off()
    for ax, arm, letter in zip(axes.flat, arms, ascii_lowercase, strict=False):
        values_axis(ax, table[RATE])
        for _, other in points[points["arm"] != arm].groupby("arm"):
            for part in stretches(other):
                ax.plot(part[RATE], 100 * part["mean"], color="0.85", linewidth=0.8)
        draw_finals(ax, points, "arm", RATE, {arm: looks[arm]})
        value = tuned[arm]["chosen"][RATE]
        choice(ax, value, 100 * tuned[arm]["accuracy"], looks[arm], towards(value, table[RATE]))
        style.panel(ax, letter, f"{style.words(arm)}: {value:g}{' (edge)' if tuned[arm]['at_edge'] else ''}")
    zoomed_accuracy_axis(list(axes.flat)[: len(arms)], points)
    figure.supxlabel("learning rate", fontsize="medium")
    figure.supylabel("test accuracy (%)", fontsize="medium")
    return figure


def towards(value: float, tried: pd.Series) -> int:
    """Where a better value may lie beyond those tried: -1 below, 1 above, 0 nowhere."""
    return int(value == tried.max()) - int(value == tried.min())


def choice(ax: Axes, value: float, accuracy: float, look: Look, beyond: int) -> None:
    """A ring around the chosen value, and an arrow from the edge of the grid."""
    ax.plot(value, accuracy, "o", markersize=9, markerfacecolor="none", markeredgecolor=look.color, markeredgewidth=1)
    ax.margins(x=0.25)
    if beyond:
        arrow = {"arrowstyle": "<-", "color": look.color, "shrinkA": 0, "shrinkB": 5}
        ax.annotate("", (value, accuracy), (17 * beyond, 0), textcoords="offset points", arrowprops=arrow)
