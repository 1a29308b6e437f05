"""**Peer-to-peer learning over several graphs, against a server, all data in one place, and no cooperation.** Top:
the graphs (random ones as drawn for seed {seed}), with their diameter and the second-largest eigenvalue modulus
(SLEM) of the mixing weights. Below: test accuracy of the mean device and of the worst device at the end of each
round, against rounds (left) and against all bytes sent so far, the server's and those of the synchronization before
the first round included, divided by the number of devices (right; at the mean over seeds). Centralized and isolated
training send nothing: on the right they stand as their final accuracy. Each has its own learning rate (lr), the best
for its final accuracy on seeds of which none is here. The axes of accuracy are logarithmic in the error.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from p2pl.experiment import Experiment
from p2pl.graph import describe
from p2pl.stats import last_phase
from paper_figures import style
from paper_figures.costs import with_megabytes
from paper_figures.graphs import draw_graph
from paper_figures.style import Look

NEEDS = ("topologies",)


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["topologies"]
    first = table.drop_duplicates("arm")
    experiments = {
        arm: Experiment.of(table.attrs["specs"][run]) for arm, run in zip(first["arm"], first["run"], strict=True)
    }
    looks = style.looks(list(experiments), style.REFERENCES)
    figure = style.page(6.3)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 3.6], squeeze=False)[:, 0]
    graphs(top, {arm: one for arm, one in experiments.items() if one.uses_graph}, looks)
    curves(bottom, last_phase(table), experiments, looks)
    return figure


def graphs(figure: SubFigure, experiments: dict[str, Experiment], looks: dict[str, Look]) -> None:
    """Each arm's graph in the arm's colour, with what makes it fast or slow."""
    axes = figure.subplots(1, len(experiments), squeeze=False)[0]
    for ax, (arm, one) in zip(axes, experiments.items(), strict=True):
        facts = describe(one.topology, one.devices, one.mixing, one.seed)
        draw_graph(ax, facts, looks[arm].color, arm, f"diameter {facts.diameter}, SLEM {facts.slem:.2f}")


def curves(figure: SubFigure, table: pd.DataFrame, experiments: dict[str, Experiment], looks: dict[str, Look]) -> None:
    """Accuracy of the mean and of the worst device, against rounds and bytes."""
    rates = {arm: f"{style.words(arm)}, lr {one.training.lr:g}" for arm, one in experiments.items()}
    table = with_megabytes(table)
    sent = table[table["megabytes"] > 0]
    axes, letters = figure.subplots(2, 2, sharey="row", sharex="col"), iter("abcd")
    for row, (value, device) in zip(axes, (("accuracy_mean", "mean"), ("accuracy_min", "worst")), strict=True):
        style.curves(row[0], table, "arm", value, looks)
        style.curves(row[1], sent, "arm", value, looks, x="megabytes")
        for arm, look in looks.items():
            if arm not in set(sent["arm"]):
                level(row[1], table[table["arm"] == arm], value, look)
        style.accuracy_axis(row)
        row[0].set_ylabel("test accuracy (%)")
        for ax in row:
            style.panel(ax, next(letters), f"{device} device")
    axes[1, 0].set_xlabel("round")
    axes[1, 1].set_xlabel("sent per device (MB)")
    axes[1, 1].set_xscale("log")
    style.legend(figure, looks, names=rates)


def level(ax: Axes, rows: pd.DataFrame, value: str, look: Look) -> None:
    """The final mean over seeds as a horizontal line, if all of them got there."""
    if (rows["status"] == "finished").all():
        final = rows.loc[rows["round"] == rows["round"].max(), value].mean()
        ax.axhline(100 * final, color=look.color, linestyle=look.linestyle)
