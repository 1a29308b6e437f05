"""**What link failures cost.** Left and middle: test accuracy of the mean device at the end of each round, when every
link is down with the given probability, independently in each round. Right: rounds until it reaches {target}; small
marks are single seeds, lines their medians, and open triangles at the top are seeds that did not get there within
{rounds} rounds.
"""

from __future__ import annotations

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
    topologies = style.unique(ends, "topology")
    rates = style.ordered_looks(style.unique(ends, "rate"))
    figure = style.page(2.6)
    *panels, last = figure.subplots(1, len(topologies) + 1)
    for ax, topology, letter in zip(panels, topologies, "abcdefg", strict=False):
        style.curves(ax, ends[ends["topology"] == topology], "rate", "accuracy_mean", rates)
        ax.axhline(100 * target, color="0.4", linewidth=0.6)
        ax.sharey(panels[0])
        ax.set_xlabel("round")
        style.panel(ax, letter, style.words(topology))
    panels[0].set_ylabel("test accuracy (%)")
    cost(last, ends, target, style.looks(topologies))
    style.panel(last, "abcdefg"[len(panels)], f"rounds to {100 * target:g} %")
    style.legend(figure, rates, title="probability that a link is down", columns=9)
    return figure


def cost(ax: Axes, ends: pd.DataFrame, target: float, looks: dict[str, Look]) -> None:
    """Rounds to the target against the failure rate: single seeds, medians, and what never got there."""
    reached = first_reached(ends, ["topology", "rate"], "accuracy_mean", target)
    ceiling = 1.08 * float(reached["last"].max())
    for shift, (topology, look) in zip(np.linspace(-0.012, 0.012, len(looks)), looks.items(), strict=True):
        rows = reached[reached["topology"] == topology]
        found, never = rows[rows["reached"].notna()], rows[rows["reached"].isna()]
        mark = {"color": look.color, "linestyle": "none"}
        ax.plot(found["rate"] + shift, found["reached"].astype(float), marker=look.marker, markersize=2.5, alpha=0.6, **mark)
        ax.plot(never["rate"] + shift, np.full(len(never), ceiling), marker="^", markerfacecolor="none", **mark)
        # A seed that never got there is later than all others; where it is the median, there is none.
        middle = rows.assign(reached=rows["reached"].astype(float).fillna(np.inf)).groupby("rate")["reached"].median()
        middle = middle[np.isfinite(middle)]
        ax.plot(middle.index + shift, middle, color=look.color, linestyle=look.linestyle, label=style.words(topology))
    ax.set_ylim(0, 1.05 * ceiling)
    ax.set_xlabel("probability that a link is down")
    ax.legend(loc="upper left", bbox_to_anchor=(0, 0.9))
