"""**What link failures cost.** Left and middle: test accuracy of the mean device at the end of each round, when every
link is down with the given probability, independently in each round, and in each step of the election at the start.
Right: rounds until it reaches {target}; small marks are single seeds (some coincide), lines their medians, and open
triangles at the top count the seeds that did not get there within {rounds} rounds. The axes of accuracy are
logarithmic in the error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pl.experiment import Experiment
from p2pl.stats import first_reached, last_phase
from paper_figures import style
from paper_figures.style import Look

NEEDS = ("failures",)


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["failures"]
    (target,) = {Experiment.of(spec).evaluation.target for spec in table.attrs["specs"].values()}
    ends = last_phase(table).rename(columns={"failures.rate": "rate"})
    topologies = style.looks(style.unique(ends, "arm"))
    rates = style.ordered_looks(style.unique(ends, "rate"))
    figure = style.page(2.9)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[len(topologies), 1])[0]
    panels = left.subplots(1, len(topologies), sharey=True, squeeze=False)[0]
    letters = iter("abcdefgh")
    for ax, topology in zip(panels, topologies, strict=True):
        style.curves(ax, ends[ends["arm"] == topology], "rate", "accuracy_mean", rates)
        ax.axhline(100 * target, color="0.4", linewidth=0.6)
        ax.set_xlabel("round")
        style.panel(ax, next(letters), style.words(topology))
    panels[0].set_ylabel("test accuracy (%)")
    style.accuracy_axis(panels)
    style.legend(left, rates, title="probability that a link is down", columns=9)

    ax = right.subplots()
    cost(ax, ends, target, topologies)
    style.panel(ax, next(letters), f"rounds to {100 * target:g} %")
    style.legend(right, topologies, title="graph", columns=2)
    return figure


def cost(ax: Axes, ends: pd.DataFrame, target: float, looks: dict[str, Look]) -> None:
    """Rounds to the target against the failure rate: single seeds, medians, and what never got there."""
    reached = first_reached(ends, ["arm", "rate"], "accuracy_mean", target)
    ceiling = float(reached["last"].max())
    for row, (topology, look) in enumerate(looks.items(), start=1):
        rows = reached[reached["arm"] == topology]
        rates = rows["rate"] + 0.024 * (row - (len(looks) + 1) / 2)  # side by side
        rounds = rows["reached"].astype(float)
        mark: dict[str, Any] = {"color": look.color, "linestyle": "none"}
        ax.plot(rates[rounds.notna()], rounds.dropna(), marker=look.marker, markersize=2.5, alpha=0.6, **mark)
        # A seed that never got there is later than all others; where it is the median, there is none.
        middle = rounds.fillna(np.inf).groupby(rates).median()
        middle = middle[np.isfinite(middle)]
        ax.plot(middle.index, middle, color=look.color, linestyle=look.linestyle)
        height = ceiling * (1 + 0.09 * row)
        for rate, missing in rounds.isna().groupby(rates):
            if missing.any():
                ax.plot(rate, height, marker="^", markerfacecolor="none", **mark)
                said = f"{missing.sum()} of {len(missing)} "
                ax.annotate(
                    said, (rate, height), (-3, 0), textcoords="offset points", ha="right", va="center", color=look.color
                )
    ax.set_yticks([tick for tick in ax.get_yticks() if tick <= ceiling])
    ax.set_ylim(0, ceiling * (1.09 + 0.09 * len(looks)))
    ax.set_xlabel("probability that a link is down")
