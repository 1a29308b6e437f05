"""**Do weights by data size win by the speed of mixing, or by their bias?** Four ways to weigh neighbours, two by two.
P2PL weights mix fast on a star and are *biased*: what the devices agree on counts the hub for more than the leaves.
Metropolis weights count all alike and are slow; several mixing steps a round make them as fast, and damped P2PL weights
are as slow as they are. (a, b) The graph; areas and colours are the stationary weights. (c) The factor by which
disagreement shrinks in a round: the second-largest eigenvalue modulus (SLEM) of the weights, to the power of the mixing
steps a round; the comparison asks that it be equal for the two fast arms, and for the two slow ones. (d) What a device
has sent at the end, on average, the synchronization at the start included. Weights and factors are those of equal data
on all devices. Then a row for each partition of the data: test accuracy of the mean device at the end of each round, on
an axis that is logarithmic in the error; and of the mean and of the worst device at the end of the runs, in each cell
the mean over seeds with the half width of its interval. From row to row of a table only the speed changes, from column
to column only the bias; shades run from the least to the largest of each table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from string import ascii_lowercase
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from p2pl.drawing import draw_graph
from p2pl.experiment import Experiment
from p2pl.network import Network
from p2pl.spectrum import period_matrix, slem, stationary
from p2pl.stats import last_phase
from paper_figures import cells, style
from paper_figures.style import Look

NEEDS = ("weights",)

BIASES = (style.VERMILLION, style.BLUE)  # colours of biased and unbiased weights
DEVICES = {"accuracy_mean": "mean device", "accuracy_min": "worst device"}


class Way(NamedTuple):
    """One arm: its network, the name, SLEM and stationary weights of its rule, and its mixing steps a round."""

    network: Network
    rule: str
    slem: float
    stationary: np.ndarray
    steps: int

    @classmethod
    def of(cls, spec: dict[str, Any]) -> Way:
        one = Experiment.of(spec)
        network = Network(one.topology, one.devices, one.seed)
        weights = period_matrix(network, one.mixing, np.ones(one.devices, dtype=np.int64))
        steps = one.algorithm.options["consensus_steps"]
        return cls(network, one.mixing.name, slem(weights), stationary(weights), steps)


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["weights"]
    first = table.drop_duplicates("arm")
    ways = {arm: Way.of(table.attrs["specs"][run]) for arm, run in zip(first["arm"], first["run"], strict=True)}
    table = table.join(table["arm"].str.split(" and ", expand=True).set_axis(["speed", "bias"], axis=1))
    looks = arm_looks(table)
    rows = table["partition"].nunique()
    figure = style.page(2.0 + 1.75 * rows)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.7, 0.3 + 1.75 * rows], squeeze=False)[:, 0]
    letters = iter(ascii_lowercase)
    axes = top.subplots(1, 4, width_ratios=[1, 1, 1.1, 1.1])
    graphs(axes[:2], table, ways, letters)
    costs(axes[2:], table, ways, looks, letters)
    outcomes(bottom, table, looks, letters)
    return figure


def arm_looks(table: pd.DataFrame) -> dict[str, Look]:
    """Colours say the bias, line styles the speed, markers both."""
    arms = table.drop_duplicates("arm")
    colours = dict(zip(arms["bias"].unique(), BIASES, strict=False))
    lines = dict(zip(arms["speed"].unique(), style.LINES, strict=False))
    said = zip(arms["arm"], arms["bias"], arms["speed"], style.MARKERS, strict=False)
    return {arm: Look(colours[bias], lines[speed], marker) for arm, bias, speed, marker in said}


def graphs(axes: Iterable[Axes], table: pd.DataFrame, ways: dict[str, Way], letters: Iterator[str]) -> None:
    """The graph with the stationary weights of the first arm of either bias."""
    first = table.drop_duplicates("bias")
    for ax, arm, bias in zip(axes, first["arm"], first["bias"], strict=True):
        way = ways[arm]
        nodes = draw_graph(way.network.at(0), way.stationary, ax)
        nodes.set_sizes(0.45 * nodes.get_sizes())  # they are meant for a larger panel
        least, most = 100 * way.stationary.min(), 100 * way.stationary.max()
        said = f"{most:.3g} % each" if np.isclose(least, most) else f"hub {most:.3g} %, leaf {least:.3g} %"
        ax.annotate(said, (0.5, -0.02), xycoords="axes fraction", ha="center", va="top")
        style.panel(ax, next(letters), f"{bias}: {style.words(way.rule)}")


def costs(
    axes: Iterable[Axes], table: pd.DataFrame, ways: dict[str, Way], looks: dict[str, Look], letters: Iterator[str]
) -> None:
    """Speed and bytes of each arm as bars with their numbers."""
    sent = cells.finals(table, "bytes_sent").groupby("arm")["bytes_sent"].mean()
    factors, megabytes = {}, {}
    for arm, way in ways.items():
        power = f"^{{{way.steps}}} = {way.slem**way.steps:.3f}" if way.steps > 1 else ""
        factors[arm] = way.slem**way.steps, f"${way.slem:.4g}{power}$"
        each = sent[arm] / way.network.devices / 1e6
        megabytes[arm] = (each, f"{each:.3g}") if pd.notna(each) else (0, "diverged")
    speed, cost = axes
    for ax, bars, title in ((speed, factors, "SLEM of one round"), (cost, megabytes, "sent per device (MB)")):
        for height, (arm, (value, said)) in enumerate(bars.items()):
            ax.barh(height, value, height=0.55, color=looks[arm].color, alpha=0.75)
            ax.annotate(said, (value, height), (3, 0), textcoords="offset points", va="center", size=cells.SMALL)
        ax.set_ylim(len(ways) - 0.5, -0.5)
        ax.set_yticks(range(len(ways)), list(ways) if ax is speed else [])
        ax.grid(axis="y", visible=False)
        ax.margins(x=0.35)
        style.panel(ax, next(letters), title)
    speed.set(xticks=[0, 0.5, 1], xlim=(0, 1.9))


def outcomes(figure: SubFigure, table: pd.DataFrame, looks: dict[str, Look], letters: Iterator[str]) -> None:
    """For each partition, a row: curves of the mean device, and the two-by-two tables of its and the worst's end."""
    partitions = style.unique(table, "partition")
    axes = figure.subplots(len(partitions), 3, squeeze=False, width_ratios=[1.6, 1, 1])
    ends = last_phase(table)
    for row, partition in zip(axes, partitions, strict=True):
        here = table["partition"] == partition
        style.curves(row[0], ends[ends["partition"] == partition], "arm", "accuracy_mean", looks)
        style.panel(row[0], next(letters), f"{style.words(partition)}: mean device")
        row[0].set(xlabel="round", ylabel="test accuracy (%)")
        for ax, (value, device) in zip(row[1:], DEVICES.items(), strict=True):
            last = cells.finals(table[here], value)
            cells.heat_map(ax, last, ("speed", "bias"), value, cells.limits(last, ("speed", "bias"), value))
            style.panel(ax, next(letters), f"{device} at the end (%)")
        style.accuracy_axis([row[0]])
    style.legend(figure, looks)
