"""**Which algorithm learns best from devices that disagree?** **a**-**c** Test accuracy of the mean device after
cooperation in the last of {rounds} rounds on a binary tree, a ring and the static exponential digraph of {devices}
devices, for data that are nearly alike and data that are not (Dirichlet proportions of classes), each algorithm at
the learning rate that was best for it on that graph, on other seeds and other images, and those that compress at
their best consensus step, too; ranked by the harder data on the tree. A dash: the algorithm cannot run there. Marks
are means over n = {seeds} seeds, bars their 95 % Student-t intervals. **d** What a device has sent on average on the
tree, on a logarithmic axis; 10x: a tenth of the values, with their places.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_figures import cells, style
from paper_figures.costs import with_megabytes

NEEDS = ("algorithms_tree", "algorithms_ring", "algorithms_exponential")

ALPHA = "partition.alpha"


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    ends = {block: cells.finals(results[block], "accuracy_mean") for block in NEEDS}
    first = next(iter(ends.values()))
    arms = ranked(first)
    looks = style.looks(style.unique(first, ALPHA))
    figure = style.page(0.9 + 0.2 * len(arms))
    *axes, last = figure.subplots(1, len(NEEDS) + 1, sharey=True, width_ratios=[*(1.3 for _ in NEEDS), 1])
    for ax, block, letter in zip(axes, NEEDS, "abc", strict=True):
        accuracies(ax, ends[block], arms, looks)
        ax.sharex(axes[0])
        style.panel(ax, letter, block.removeprefix("algorithms_"))
    axes[1].set_xlabel("test accuracy (%)")
    sent(last, hardest(first), arms)
    axes[0].set_yticks(range(len(arms)), arms)
    axes[0].set_ylim(len(arms) - 0.5, -0.5)
    style.legend(figure, looks, names={alpha: f"Dirichlet, alpha = {alpha:g}" for alpha in looks})
    return figure


def hardest(ends: pd.DataFrame) -> pd.DataFrame:
    """The ends of the runs whose data differ most."""
    chosen: pd.DataFrame = ends[ends[ALPHA] == ends[ALPHA].min()]
    return chosen


def ranked(ends: pd.DataFrame) -> list[str]:
    """Algorithms from best to worst; those that diverged last."""
    means = hardest(ends).groupby("arm")["accuracy_mean"].agg(lambda values: values.mean(skipna=False))
    return list(means.sort_values(ascending=False, na_position="last").index)


def accuracies(ax: Axes, ends: pd.DataFrame, arms: list[str], looks: dict[float, style.Look]) -> None:
    """A row for each algorithm, a mark for each kind of data."""
    here = set(ends["arm"])
    for height, arm in enumerate(arms):
        if arm not in here:
            ax.text(0.5, height, "–", transform=ax.get_yaxis_transform(), ha="center", va="center", weight="bold")
            continue
        for shift, (alpha, look) in zip((-0.15, 0.15), looks.items(), strict=True):
            chosen = ends[(ends["arm"] == arm) & (ends[ALPHA] == alpha)]
            cells.whisker(ax, 100 * chosen["accuracy_mean"], height + shift, look)


def sent(ax: Axes, ends: pd.DataFrame, arms: list[str]) -> None:
    """Megabytes a device, a row for each algorithm."""
    megabytes = with_megabytes(ends).groupby("arm")["megabytes"].mean()
    for height, arm in enumerate(arms):
        ax.plot([0, megabytes[arm]], [height, height], color="0.8", zorder=1)
        ax.plot(megabytes[arm], height, "s", color=style.BLACK, markersize=3.5)
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xlim(left=0)
    ax.set_xlabel("sent per device (MB)")
    style.panel(ax, "d", "cost")
