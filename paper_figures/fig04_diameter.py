"""**Does the gain from max norm synchronization grow with the diameter, or with what comes with it?** Top: the graphs
(random ones as drawn for seed {seed}) with their diameter, the second-largest eigenvalue modulus (SLEM) of the mixing
weights, and their density, the share of all pairs of devices that are linked. Below: the binary logarithm of the ratio
of rounds until the mean device reaches {target}, devices that elect the draw of largest norm against devices that each
start from their own, paired by seed: -1 (dashed) means half the rounds. The same gains stand against the diameter
(**a**), the SLEM (**b**; the axis is logarithmic near 1) and the density (**c**). The rank correlations, over the
random geometric graphs of all seeds, say how closely the three go together: what goes together cannot be told apart
here. Small marks are seeds, in **b** and **c** at the values of their own graphs; large ones means over n = {seeds}
seeds with 95 % Student-t intervals and the diameter inside. A triangle is a seed in which one of the two starts did not
get there, and points to where the ratio may lie beyond; a mean over such is open and has no interval. A cross at the
top is a seed in which neither got there (counted in **a**), which leaves no mean. Slope: over the random geometric
graphs, by least squares for each seed that has a ratio on all of them, mean and interval.
"""

from __future__ import annotations

from textwrap import fill

import pandas as pd
from matplotlib.figure import Figure, SubFigure

from p2pl.experiment import Experiment
from p2pl.graph import Facts, describe
from paper_figures import style
from paper_figures.finals import values_axis
from paper_figures.gains import LABEL, draw_gain, gains, levels, signed, slope
from paper_figures.graphs import draw_graph
from paper_figures.style import Look

NEEDS = ("diameter",)

AMONG = "random_geometric"  # the graphs whose diameter is varied by itself
SLEMS = (0.1, 0.3, 0.5, 0.8, 0.9, 0.95, 0.98, 0.995, 0.999)  # ticks
MEASURES = {"diameter": "diameter (hops)", "slem": "SLEM", "density": "density"}
APART = 11.0  # points of paper between graphs of different kinds and equal diameter


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["diameter"]
    first = table.drop_duplicates(["topology", "seed"])
    experiments = [Experiment.of(table.attrs["specs"][run]) for run in first["run"]]
    facts = [describe(one.topology, one.devices, one.mixing, one.seed) for one in experiments]
    measures = pd.DataFrame(
        {
            "topology": label, "seed": one.network.seed, "kind": one.network.name,
            "diameter": one.diameter, "slem": one.slem, "density": density(one),
        }
        for label, one in zip(first["topology"], facts, strict=True)
    )  # fmt: skip
    looks = style.looks(style.unique(measures, "kind"))
    figure = style.page(5.2)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.7], squeeze=False)[:, 0]
    graphs(top, [one for one in facts if one.network.seed == facts[0].network.seed], looks)
    panels(bottom, gains(table, "topology").merge(measures, on=["topology", "seed"]), looks)
    bottom.axes[0].set_xlabel(f"{MEASURES['diameter']}\n{slope(table, 'diameter', 'hop')}")
    style.legend(bottom, {kind: look._replace(linestyle="none") for kind, look in looks.items()})
    return figure


def density(facts: Facts) -> float:
    """The share of all pairs that are linked."""
    devices = facts.network.devices
    return len(facts.edges) / (devices * (devices - 1) / 2)


def graphs(figure: SubFigure, drawn: list[Facts], looks: dict[str, Look]) -> None:
    axes = figure.subplots(1, len(drawn), squeeze=False)[0]
    for ax, one in zip(axes, drawn, strict=True):
        said = f"diameter {one.diameter}\nSLEM {one.slem:.3f}\ndensity {density(one):.2f}"
        title = fill(style.words(one.network.name), 10)
        draw_graph(ax, one, looks[one.network.name].color, title, said)


def panels(figure: SubFigure, found: pd.DataFrame, looks: dict[str, Look]) -> None:
    """The gains against each measure of the graph; next to each other where the diameter is the same."""
    axes = figure.subplots(1, 3, sharey=True)
    among = found[found["kind"] == AMONG]
    ranks = among[list(MEASURES)].corr(method="spearman")["diameter"]
    for ax, x, letter in zip(axes, ranks.index, "abc", strict=True):
        levels(ax)
        for _, rows in found.groupby("topology", sort=False):
            kind = rows["kind"].iloc[0]
            aside = APART * (list(looks).index(kind) - (len(looks) - 1) / 2)
            draw_gain(ax, rows, x, looks[kind], rows["diameter"].iloc[0], aside if x == "diameter" else None)
        ax.set_xlabel(f"{MEASURES[x]}\nrank correlation\nwith the diameter {signed(ranks[x])}")
        style.panel(ax, letter, f"against the {MEASURES[x].split()[0]}")
    values_axis(axes[0], found["diameter"])
    axes[0].margins(x=0.2)
    axes[0].set_ylabel(LABEL)
    axes[1].set_xscale("logit")
    low, high = found["slem"].min(), found["slem"].max()
    ticks = [tick for tick in SLEMS if low <= tick <= high]
    axes[1].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[1].set_xticks([], minor=True)
