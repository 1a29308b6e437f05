"""**Predicted swings between learning and cooperation.** Over the phases of every round r of the first {rounds}, after
learning (open marks, at r - 1/2) and after cooperation (filled marks, at r): blue, runs with their band; black, dashed,
the mean of their predictions, made from the initialization alone by one linearization, with the failures of the same
seeds. (a) Disagreement: the root mean square distance of the devices' parameters from their average. (b) Test accuracy
of the mean device, and (c) on the classes that a device has samples of (upper curve) and on those that it lacks:
learning forgets the latter, and cooperation restores them. (d) Predicted minus seen, paired by seed. The runs are
evaluated in every round. Setting: {setting}.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from paper_figures import style
from paper_figures.phases import FACES, by_half_rounds, saw_tooth
from paper_figures.predicted import ONCE, PREDICTED, SEEN, legend, thick

NEEDS = ("theory_oscillation", "theory_oscillation.none.theory")

PANELS = {
    "disagreement": (("consensus_distance", "o"),),
    "all classes": (("accuracy_mean", "o"),),
    "own and other classes": (("own_class_accuracy", "s"), ("other_class_accuracy", "D")),
}


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    seen, predicted = (results[name] for name in NEEDS)
    figure = style.page(7.2)
    axes = figure.subplots(len(PANELS) + 1, 1, sharex=True, squeeze=False)[:, 0]
    for ax, letter, (said, values) in zip(axes, "abc", PANELS.items(), strict=False):
        for value, marker in values:
            both(ax, seen, predicted, value, marker)
        style.panel(ax, letter, said)
        ax.set_ylabel("distance" if said == "disagreement" else "test accuracy (%)")
        ax.set_ylim(bottom=0)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    misfits(axes[-1], seen, predicted)
    style.panel(axes[-1], "d", "predicted minus seen")
    axes[-1].set_xlabel("round")
    marks = {name: Line2D([], [], color="0.3", marker="o", linestyle="none", mfc=face) for name, face in FACES.items()}
    legend(figure, {ONCE: PREDICTED[ONCE]}, marks)
    return figure


def both(ax: Axes, seen: pd.DataFrame, predicted: pd.DataFrame, value: str, marker: str) -> None:
    """One saw-tooth as seen, and as predicted over it."""
    scale = 1 if value == "consensus_distance" else 100
    with thick():
        saw_tooth(ax, seen, value, SEEN._replace(marker=marker), scale)
    points, look = by_half_rounds(predicted, value), PREDICTED[ONCE]
    ax.plot(points["half"], scale * points["mean"], color=look.color, linestyle=look.linestyle, linewidth=1)


def misfits(ax: Axes, seen: pd.DataFrame, predicted: pd.DataFrame) -> None:
    """Predicted minus seen with bands over seeds: per cent of the disagreement, points of accuracy."""
    values = {"consensus_distance": "disagreement (% of that seen)", "accuracy_mean": "accuracy (points)"}
    keys = ["run", "round", "phase"]
    pairs = seen.merge(predicted[[*keys, *values]], on=keys, suffixes=("", "_th"))
    for (value, said), look in zip(values.items(), style.looks(list(values)).values(), strict=True):
        gap = 100 * (pairs[f"{value}_th"] - pairs[value])
        if value == "consensus_distance":
            gap = (gap / pairs[value]).where(pairs[value] > 0)  # at the start all devices agree
        points = by_half_rounds(pairs.assign(gap=gap), "gap")
        style.draw_band(ax, points, look._replace(marker="None"), x="half", scale=1)
        ax.plot([], [], color=look.color, linestyle=look.linestyle, label=said)
    ax.axhline(0, color="0.4", linewidth=0.6)
    ax.legend(loc="lower left", ncols=2)
    ax.set_ylabel("error (% or points)")
