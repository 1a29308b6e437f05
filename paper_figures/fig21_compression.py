"""**What may be left unsaid?** Sparse-Push (our reading), which sends the largest differences to public copies, on
directed graphs of {devices} devices; a round is one mini-batch and one exchange. **a** Test accuracy of the mean
device after {rounds} rounds against what a device has sent, for data sorted by class to a growing part (skew: 0 is
even, 1 gives each device classes of its own); the share of the values that is sent stands beside the first curve.
**b** The same accuracy at tuned learning rates and consensus steps; 25x: a 25th of the values; merged: last rounds
that only merge. **c**, **d** What compression to a 25th takes, graph by graph: accuracy of compressed minus that of
uncompressed push-sum, paired by seed, with public copies, which need graphs that come again, and with error feedback,
on axes of their own; the hypercube of 8 is the torus of 2 x 4. Marks are means over n = {seeds} seeds, bars their 95 %
Student-t intervals. The axis of accuracy in **a** is logarithmic in the error, that of bytes is logarithmic.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from p2pl.effects import Difference
from p2pl.stats import last_phase
from paper_figures import cells, style
from paper_figures.costs import with_megabytes
from paper_figures.dots import dots, effects, label_rows
from paper_figures.finals import draw_finals, final, zoomed_accuracy_axis

NEEDS = ("compression", "push", "digraphs", "permutations")

SKEW, KEEP = "partition.fraction", "compression.keep"


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    figure = style.page(5.4)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.15, 1], squeeze=False)[:, 0]
    curves, tuned = top.subplots(1, 2, width_ratios=[1.25, 1])
    against_bytes(curves, results["compression"])
    style.legend(top, looks_of(results["compression"]), title="skew")
    rows(tuned, results["push"])
    drawn = results["permutations"].assign(topology="random_permutation")
    graphs(bottom.subplots(1, 2), pd.concat([results["digraphs"], drawn]), bottom)
    return figure


def looks_of(table: pd.DataFrame) -> dict[float, style.Look]:
    return style.ordered_looks(style.unique(table, SKEW))


def against_bytes(ax: Axes, table: pd.DataFrame) -> None:
    """A curve for each skew, a point for each share that is kept."""
    sent = with_megabytes(last_phase(table))
    points = final(table, [SKEW, KEEP], "accuracy_mean")
    points = points.merge(sent.groupby([SKEW, KEEP, "round"])["megabytes"].mean().reset_index())
    draw_finals(ax, points, SKEW, "megabytes", looks_of(table))
    for point in points[points[SKEW] == points[SKEW].iloc[0]].dropna(subset=["mean"]).to_dict("records"):
        end, said = (point["megabytes"], 100 * point["mean"]), f"{100 * point[KEEP]:g} %"
        text = ax.annotate(said, end, (-7, 6), textcoords="offset points", ha="center", fontsize=6, zorder=4)
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])  # error bars pass below it
    ax.set_xscale("log")
    ax.margins(x=0.09)
    zoomed_accuracy_axis([ax], points)
    ax.set_xlabel("sent per device (MB)")
    ax.set_ylabel("test accuracy (%)")
    style.panel(ax, "a", "accuracy against bytes")


def rows(ax: Axes, table: pd.DataFrame) -> None:
    """Accuracy at the end, an arm a row."""
    arms = style.unique(table, "arm")
    ends = cells.finals(table, "accuracy_mean")
    for height, (arm, look) in enumerate(style.looks(arms).items()):
        cells.whisker(ax, 100 * ends.loc[ends["arm"] == arm, "accuracy_mean"], height, look)
    ax.set_yticks(range(len(arms)), arms)
    ax.set_ylim(len(arms) - 0.5, -0.5)
    ax.set_xlabel("test accuracy (%)")
    style.panel(ax, "b", "tuned")


def graphs(axes: list[Axes], table: pd.DataFrame, figure: Figure) -> None:
    """Loss by compression, a row for each graph, a panel for each way of sharing the data out."""
    ways = [arm for arm in style.unique(table, "arm") if arm != "dense"]
    looks = style.looks(ways)
    topologies = style.unique(table, "topology")
    tried = {way: style.unique(table[table["arm"] == way], "topology") for way in ways}
    for ax, partition, letter in zip(axes, style.unique(table, "partition"), "cd", strict=True):
        for number, way in enumerate(ways):
            wanted = {
                graph: Difference({"arm": way, **here}, {"arm": "dense", **here})
                for graph in tried[way]
                for here in [{"topology": graph, "partition": partition}]
            }
            dots(ax, effects(table, wanted), looks[way], shift=0.3 * (number - (len(ways) - 1) / 2))
        label_rows(ax, topologies, visible=ax is axes[0])
        ax.set_xlabel("compressed minus uncompressed (points)")
        style.panel(ax, letter, "data shared out evenly" if partition == "iid" else "data sorted by class")
    style.legend(figure, looks)
