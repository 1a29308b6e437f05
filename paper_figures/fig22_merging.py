"""**Does merging at the end mend what compression took?** Skew-compensated Sparse-Push (our reading) on a directed ring
of {devices} devices, each with classes of its own: test accuracy after {rounds} rounds against the number of those, the
last ones, in which nobody learns and devices only merge; uncompressed, or by compressed gossip as before. Filled marks:
the mean device; open marks: the average of all models, which merging cannot pass. Grey: uncompressed push-sum with the
same learning rate, mean and interval. Marks are means over n = {seeds} seeds, bars their 95 % Student-t intervals. The
axis of accuracy is logarithmic in the error.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pl.stats import t_interval
from paper_figures import cells, style
from paper_figures.finals import draw_finals, final, zoomed_accuracy_axis

NEEDS = ("merging", "digraphs")

KEEP, LAST, WAY = "compression.keep", "algorithm.final_rounds", "algorithm.final"
PLACE = "place"


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["merging"]
    numbers = sorted(style.unique(table, LAST))
    table = table.assign(**{PLACE: table[LAST].map({number: i for i, number in enumerate(numbers)})})
    table.attrs = results["merging"].attrs
    looks = style.looks(style.unique(table, WAY))
    figure = style.page(3.0)
    keeps = style.unique(table, KEEP)
    axes = figure.subplots(1, len(keeps), sharey=True, squeeze=False)[0]
    found = []
    for ax, keep, letter in zip(axes, keeps, "abcd", strict=False):
        uncompressed(ax, results["digraphs"])
        for value, hollow in (("accuracy_of_average", True), ("accuracy_mean", False)):
            points = final(table, [KEEP, WAY, PLACE], value)
            found.append(points)
            draw_finals(ax, points[points[KEEP] == keep], WAY, PLACE, looks)
            if hollow:
                for line in ax.get_lines():
                    line.set(markerfacecolor="white", markeredgecolor=line.get_color(), alpha=0.7)
        ax.set_xticks(range(len(numbers)), [str(number) for number in numbers])
        ax.set_xlabel("last rounds without learning")
        style.panel(ax, letter, f"{100 * keep:g} % of the values sent")
    axes[0].set_ylabel("test accuracy (%)")
    zoomed_accuracy_axis(axes, *found)
    style.legend(figure, looks, title="merging")
    return figure


def uncompressed(ax: Axes, table: pd.DataFrame) -> None:
    """What push-sum without compression reaches on the same graph and data."""
    rows = table[(table["arm"] == "dense") & (table["topology"] == "directed_ring") & (table["partition"] != "iid")]
    values = 100 * cells.finals(rows, "accuracy_mean")["accuracy_mean"]
    if values.isna().any():
        return
    interval = t_interval(values)
    ax.axhline(interval.mean, color=style.GREY, linewidth=0.8)
    across = ax.get_yaxis_transform()
    ax.text(0.99, interval.mean, "uncompressed", transform=across, ha="right", va="bottom", fontsize=6)
    ax.axhspan(interval.low, interval.high, color=style.GREY, alpha=0.2, linewidth=0)
