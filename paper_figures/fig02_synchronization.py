"""**Is it the largest norm that helps at the start, or any common start?** Test accuracy of the mean device after
learning (top) and after cooperation (middle), for devices that elect the draw of largest norm (max norm
synchronization), of smallest norm, or of a random device as their common start, and for devices that each start from
their own draw. Bottom: the differences to the random leader after cooperation, paired by seed, in percentage points.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pl.stats import band, last_phase
from paper_figures import style
from paper_figures.style import Look

NEEDS = ("synchronization",)

CONTROL = "random_leader"


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["synchronization"]
    looks = style.looks(style.unique(table, "initialization"))
    topologies = style.unique(table, "topology")
    figure = style.page(6.2)
    axes = figure.subplots(3, len(topologies), sharey="row", sharex=True, squeeze=False)
    for column, (topology, letters) in enumerate(zip(topologies, ("ace", "bdf", "ghi", "jkl"), strict=False)):
        rows = table[table["topology"] == topology]
        ends = last_phase(rows)
        learned = rows[rows["phase"] == "learn"]
        style.curves(axes[0, column], learned, "initialization", "accuracy_mean", looks)
        style.curves(axes[1, column], ends, "initialization", "accuracy_mean", looks)
        differences(axes[2, column], ends, looks)
        for ax, letter in zip(axes[:, column], letters, strict=True):
            style.panel(ax, letter, style.words(topology) if ax is axes[0, column] else "")
        axes[2, column].set_xlabel("round")
    for ax, label in zip(axes[:, 0], ("accuracy after\nlearning (%)", "accuracy after\ncooperation (%)"), strict=False):
        ax.set_ylabel(label)
    axes[2, 0].set_ylabel("difference to\nrandom leader (points)")
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
    # Independent starts lag by tens of points at first; what is asked lies within a few.
    near = points[points["initialization"].isin(["max_norm", "min_norm"])]
    reach = 100 * np.nanmax(near[["low", "high"]].abs().to_numpy(), initial=0.01)
    ax.set_ylim(-3 * reach, 1.5 * reach)
