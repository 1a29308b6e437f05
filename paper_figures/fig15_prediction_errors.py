"""**How the error of a prediction falls.** (a–d) Against the width of the hidden layer: the error of predictions made
from the initialization alone, by one linearization about it (filled marks, solid lines) or by one anew after rounds 2,
4, 8, ... about the predicted mean (open marks, dotted); grey: slope -1/2, through the middle of the first series;
diamonds: relu units once more, on other seeds, by which the claims of that width are judged. (e)
Against alpha, where f_0 + alpha (f - f_0) learns in place of the network f, at learning rates as 1/alpha²; grey: slope
-1. (f) Error in test outputs of every run of a–e, by one linearization, against the relative change of its kernel from
start to end. Errors are the largest over all evaluated moments, after learning and after cooperation: of all devices'
test outputs, in per cent of how far they have moved; of the training loss and of the disagreement (root mean square
distance of the devices' parameters from their average), in per cent of what was seen; of all parameters, at the end, in
per cent of how far they have moved. Marks are geometric means over n = {seeds} seeds, bars 95 % Student-t intervals of
the logarithm; axes are logarithmic. Setting of most runs: {setting}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from p2pl.experiment import Experiment
from p2pl.stats import band
from paper_figures import style
from paper_figures.claims_of_theory import alpha, width
from paper_figures.finals import move, values_axis
from paper_figures.predicted import ANEW, ONCE, plain
from paper_figures.style import Look

NEEDS = (
    "theory_width.none.errors",
    "theory_cuts.geometric.errors",
    "theory_lazy.none.errors",
    "theory_1024.none.errors",
)

MEASURES = {
    "test_predictions": "test outputs",
    "train_loss": "training loss",
    "disagreement": "disagreement",
    "parameters": "parameters",
}
OPEN: dict[str, Any] = {"linestyle": (0, (1.2, 1)), "markerfacecolor": "white"}
LAZY = Look("0.45", "-", "^")
OTHER_SEEDS = Look("0.2", "-", "D")
APART = 2.0  # points of paper, each way

Factor = Callable[[Experiment], float]


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    widths, cuts, lazy, more = (results[name] for name in NEEDS)
    arms = {arm: look._replace(linestyle="-") for arm, look in style.looks(style.unique(widths, "arm")).items()}
    figure = style.page(4.6)
    axes = figure.subplots(2, 3, squeeze=False)
    for ax, letter, (value, said) in zip(axes.flat, "abcd", MEASURES.items(), strict=False):
        for row, (arm, look) in enumerate(arms.items()):
            for table, open_marks in ((widths, False), (cuts, True)):
                points = errors_against(table[table["arm"] == arm], width, value)
                series(ax, points, look, APART * (2 * row - 1), open_marks)
        series(ax, errors_against(more, width, value), OTHER_SEEDS, 2 * APART)
        slope(ax, errors_against(widths[widths["arm"] == next(iter(arms))], width, value), -0.5)
        finish(ax, values_of(widths, width), "hidden units")
        style.panel(ax, letter, said)
    laziness(axes[1, 1], lazy)
    causes(axes[1, 2], widths, lazy, arms)
    for ax in axes[:, 0]:
        ax.set_ylabel("error (%)")
    legend(figure, arms)
    return figure


def values_of(table: pd.DataFrame, factor: Factor) -> pd.Series:
    """The factor of every run."""
    return table["run"].map(lambda run: factor(Experiment.of(table.attrs["specs"][run])))


def errors_against(table: pd.DataFrame, factor: Factor, value: str) -> pd.DataFrame:
    """Geometric means of an error over seeds at each value of a factor, in per cent: columns x, mean, low, high, n.

    Intervals are Student's t of the logarithms. Without the points at which some seed has no error above 0.
    """
    logs = np.log(100 * table[value].where(table[value] > 0))
    points = band(table.assign(x=values_of(table, factor), log=logs, all=""), ["all"], "log", "x").sort_values("x")
    columns = ["mean", "low", "high"]
    points[columns] = np.exp(points[columns].astype(float))
    return points.drop(columns="all")


def series(ax: Axes, points: pd.DataFrame, look: Look, shift: float = 0.0, open_marks: bool = False) -> None:
    """Means with intervals, `shift` points of paper to the right."""
    ends = (points["mean"] - points["low"]).fillna(0), (points["high"] - points["mean"]).fillna(0)
    kind: dict[str, Any] = {"color": look.color, "marker": look.marker, "elinewidth": 0.8, "markersize": 4.5}
    kind |= OPEN if open_marks else {"linestyle": look.linestyle, "markeredgecolor": "white"}
    move(ax.errorbar(points["x"], points["mean"], ends, **kind).get_children(), shift)


def slope(ax: Axes, points: pd.DataFrame, power: float) -> None:
    """A line of this slope through the middle of a series."""
    logs = np.log(points[["x", "mean"]])
    middle = logs["mean"].mean() - power * logs["x"].mean()
    ax.plot(points["x"], np.exp(middle) * points["x"] ** power, color="0.7", linewidth=2.5, zorder=1)
    ax.set_yscale("log")


def finish(ax: Axes, values: pd.Series, said: str) -> None:
    """Axes whose ticks are numbers: of x, the values that were tried."""
    values_axis(ax, values)
    ax.set_xlabel(said)
    plain(ax.yaxis)


def laziness(ax: Axes, table: pd.DataFrame) -> None:
    """All measures against alpha."""
    for look, (value, said) in zip(style.looks(list(MEASURES)).values(), MEASURES.items(), strict=True):
        series(ax, errors_against(table, alpha, value), look)
        ax.plot([], [], **look._asdict(), markeredgecolor="white", label=said)
    slope(ax, errors_against(table, alpha, next(iter(MEASURES))), -1)
    finish(ax, values_of(table, alpha), "alpha")
    ax.legend(fontsize=6.5, loc="lower left", handlelength=2)
    style.panel(ax, "e", "lazier networks")


def causes(ax: Axes, widths: pd.DataFrame, lazy: pd.DataFrame, arms: Mapping[str, Look]) -> None:
    """Error in test outputs against the drift of the kernel, a mark for each run."""
    for arm, look in arms.items():
        marks(ax, widths[widths["arm"] == arm], look)
    marks(ax, lazy, LAZY)
    ax.plot([], [], LAZY.marker, color=LAZY.color, label="those of panel e", markeredgecolor="white")
    ax.legend(fontsize=6.5, loc="lower right", handlelength=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        plain(axis)
    ax.set_xlabel("change of the kernel (%)")
    ax.set_ylabel("error in test outputs (%)")
    style.panel(ax, "f", "single runs")


def marks(ax: Axes, table: pd.DataFrame, look: Look) -> None:
    known = table[(table["kernel_drift"] > 0) & (table["test_predictions"] > 0)]
    kind: dict[str, Any] = {"color": look.color, "markeredgecolor": "white", "linestyle": "none"}
    ax.plot(100 * known["kernel_drift"], 100 * known["test_predictions"], look.marker, **kind)


def legend(figure: Figure, arms: Mapping[str, Look]) -> None:
    handles = {arm: Line2D([], [], **look._asdict(), markeredgecolor="white") for arm, look in arms.items()}
    handles[ONCE] = Line2D([], [], color="0.3", marker="o", markeredgecolor="white")
    handles[ANEW] = Line2D([], [], color="0.3", marker="o", **OPEN)
    handles["slope -1/2 (e: -1)"] = Line2D([], [], color="0.7", linewidth=2.5)
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles))
