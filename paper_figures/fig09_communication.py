"""**How little communication is enough?** (a-f) Test accuracy over local epochs and mixing steps in a round, of
the mean device and of the worst, at three common budgets: equal rounds, an equal number of local epochs in all, and
equal bytes sent, those of the synchronization before the first round included. Each budget is the largest that all
cells without a diverged run reach; between evaluated rounds accuracy is taken to be linear. Cells: mean over seeds and
half width of its interval; a row of panels has one scale of shades. Below, devices that cooperate in every m-th round
only, on each graph: test accuracy of the mean device at the end of each round, rounds without cooperation included; and
the same at the end of the rounds with cooperation, against all that a device has sent by then, on average. The
axes of accuracy are logarithmic in the error, that of bytes is logarithmic.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_lowercase

import numpy as np
import pandas as pd
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import LogLocator, NullFormatter

from p2pl.experiment import Experiment
from p2pl.stats import last_phase
from paper_figures import cells, style
from paper_figures.costs import with_megabytes

NEEDS = ("communication", "intermittent")

CELL = ("training.epochs", "algorithm.consensus_steps")
EVERY = "failures.every"
DEVICES = {"accuracy_mean": "mean device", "accuracy_min": "worst device"}


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    grid, sparse = (with_costs(results[block]) for block in NEEDS)
    heights = 0.9 + 0.36 * len(DEVICES) * grid[CELL[0]].nunique(), 0.9 + 1.55 * sparse["arm"].nunique()
    figure = style.page(sum(heights))
    top, bottom = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    letters = iter(ascii_lowercase)
    budgets(top, grid, letters)
    every(bottom, sparse, letters)
    return figure


def with_costs(table: pd.DataFrame) -> pd.DataFrame:
    """The ends of the rounds, with the local epochs so far and the megabytes that a device has sent on average."""
    experiments = {run: Experiment.of(spec) for run, spec in table.attrs["specs"].items()}
    ends = with_megabytes(last_phase(table))
    epochs = ends["run"].map({run: one.training.epochs or 1 for run, one in experiments.items()})
    return ends.assign(epochs=ends["round"] * epochs)


def budgets(figure: SubFigure, ends: pd.DataFrame, letters: Iterator[str]) -> None:
    """A row of heat maps for each device, a column for each budget."""
    axes = figure.subplots(len(DEVICES), 3, sharex=True, sharey=True)
    last = ends[ends["status"] == "finished"].groupby("run").tail(1)
    names = {"round": "{:g} rounds", "epochs": "{:g} local epochs", "megabytes": "{:.3g} MB a device"}
    for row, (value, device) in zip(axes, DEVICES.items(), strict=True):
        maps = {cost: at_budget(ends, cost, last[cost].min(), value) for cost in names}
        limits = cells.limits(pd.concat(maps, names=["cost"]).reset_index("cost"), ["cost", *CELL], value)
        for ax, (cost, found) in zip(row, maps.items(), strict=True):
            cells.heat_map(ax, found, CELL, value, limits)
            style.panel(ax, next(letters), f"{device}, {names[cost].format(last[cost].min())}")
        row[0].set_ylabel("local epochs a round")
    for ax in axes[-1]:
        ax.set_xlabel("mixing steps a round")


def at_budget(ends: pd.DataFrame, cost: str, budget: float, value: str) -> pd.DataFrame:
    """One row a run: `value` when `cost` has come to `budget`, linear between evaluations; missing if it diverged."""
    last = cells.finals(ends, value)
    reached = {run: np.interp(budget, rows[cost], rows[value]) for run, rows in ends.groupby("run")}
    return last.assign(**{value: last["run"].map(reached).where(last[value].notna())})


def every(figure: SubFigure, ends: pd.DataFrame, letters: Iterator[str]) -> None:
    """Curves for every m, against rounds and bytes: a row for each graph."""
    graphs = style.unique(ends, "arm")
    looks = style.ordered_looks(style.unique(ends, EVERY))
    axes = figure.subplots(len(graphs), 2, squeeze=False, sharex="col", sharey=True)
    together = ends[(ends["round"] % ends[EVERY] == 0) & (ends["megabytes"] > 0)]
    for graph, row in zip(graphs, axes, strict=True):
        style.curves(row[0], ends[ends["arm"] == graph], EVERY, "accuracy_mean", looks)
        style.curves(row[1], together[together["arm"] == graph], EVERY, "accuracy_mean", looks, x="megabytes")
        row[0].set_ylabel("test accuracy (%)")
        for ax in row:
            style.panel(ax, next(letters), f"{style.words(graph)}: mean device")
    axes[-1, 0].set_xlabel("round")
    axes[-1, 1].set_xlabel("sent per device (MB)")
    axes[-1, 1].set_xscale("log")
    axes[-1, 1].xaxis.set(
        major_locator=LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}", minor_formatter=NullFormatter()
    )
    style.accuracy_axis(axes.flat)
    style.legend(figure, looks, title="devices cooperate in every m-th round, m =")
