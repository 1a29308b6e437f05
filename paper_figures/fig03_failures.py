"""**What link failures cost.** Left and middle: test accuracy of the mean device at the end of each round, when every
link is down with the given probability, independently in each round. Right: rounds until it reaches {target}; small
marks are single seeds, lines their medians, and open triangles at the top are seeds that did not get there within
{rounds} rounds. The axes of accuracy are logarithmic in the error.
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
    topologies = style.looks(style.unique(ends, "topology"))
    rates = style.ordered_looks(style.unique(ends, "rate"))
    figure = style.page(2.9)
    left, right = np.ravel(figure.subfigures(1, 2, width_ratios=[len(topologies), 1]))
    panels = left.subplots(1, len(topologies), sharey=True, squeeze=False)[0]
    letters = iter("abcdefgh")
    for ax, topology in zip(panels, topologies, strict=True):
        style.curves(ax, ends[ends["topology"] == topology], "rate", "accuracy_mean", rates)
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
    reached = first_reached(ends, ["topology", "rate"], "accuracy_mean", target)
    ceiling = 1.08 * float(reached["last"].max())
    for shift, (topology, look) in zip(np.linspace(-0.012, 0.012, len(looks)), looks.items(), strict=True):
        rows = reached[reached["topology"] == topology]
        rounds = rows["reached"].astype(float)
        found, never = rounds.notna(), rounds.isna()
        mark: dict[str, Any] = {"color": look.color, "linestyle": "none"}
        ax.plot(rows["rate"][found] + shift, rounds[found], marker=look.marker, markersize=2.5, alpha=0.6, **mark)
        ax.plot(rows["rate"][never] + shift, rounds[never].fillna(ceiling), marker="^", markerfacecolor="none", **mark)
        # A seed that never got there is later than all others; where it is the median, there is none.
        middle = rounds.fillna(np.inf).groupby(rows["rate"]).median()
        middle = middle[np.isfinite(middle)]
        ax.plot(middle.index + shift, middle, color=look.color, linestyle=look.linestyle)
    ax.set_ylim(0, 1.05 * ceiling)
    ax.set_xlabel("probability that a link is down")
