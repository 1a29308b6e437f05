"""**Is it the largest norm that helps at the start, or any common start?** Test accuracy of the mean device after
learning (top) and after cooperation (middle), for devices that elect the draw of largest norm (max norm
synchronization), of smallest norm, or of a random device as their common start, and for devices that each start from
their own draw; the axes are logarithmic in the error. Bottom: differences to the random leader after cooperation,
paired by seed, in percentage points.
"""

from __future__ import annotations

from string import ascii_lowercase

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pl.stats import band, last_phase
from paper_figures import style
from paper_figures.style import Look

NEEDS = ("synchronization",)

CONTROL = "random_leader"
PANELS = ("after learning", "after cooperation", "difference to a random leader")


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["synchronization"]
    looks = style.looks(style.unique(table, "initialization"))
    topologies = style.unique(table, "arm")
    figure = style.page(6.2)
    axes = figure.subplots(3, len(topologies), sharey="row", sharex=True, squeeze=False)
    for topology, column in zip(topologies, axes.T, strict=True):
        rows = table[table["arm"] == topology]
        ends = last_phase(rows)
        style.curves(column[0], rows[rows["phase"] == "learn"], "initialization", "accuracy_mean", looks)
        style.curves(column[1], ends, "initialization", "accuracy_mean", looks)
        differences(column[2], ends, looks)
        column[2].set_xlabel("round")
    titles = [f"{style.words(topology)}: {shown}" for shown in PANELS for topology in topologies]
    for ax, letter, title in zip(axes.flat, ascii_lowercase, titles, strict=False):
        style.panel(ax, letter, title)
    style.accuracy_axis(axes[:2].flat)
    for ax, label in zip(axes[:, 0], ("test accuracy (%)", "test accuracy (%)", "difference (points)"), strict=True):
        ax.set_ylabel(label)
    style.legend(figure, looks)
    return figure


def differences(ax: Axes, ends: pd.DataFrame, looks: dict[str, Look]) -> None:
    """Accuracy minus that of the control with the same seed at the same round, one curve for each other way."""
    wide = ends.pivot(index=["seed", "round"], columns="initialization", values="accuracy_mean")
    gains = wide.sub(wide[CONTROL], axis=0).melt(ignore_index=False, value_name="gain").reset_index()
    points = band(gains, ["initialization"], "gain")
    ax.axhline(0, color=looks[CONTROL].color, linestyle=looks[CONTROL].linestyle)
    for name, look in looks.items():
        if name != CONTROL:
            style.draw_band(ax, points[points["initialization"] == name], look)
