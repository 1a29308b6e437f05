"""**What the theory predicts, over what was seen.** Light: runs of P2PL. Black: their prediction, made of the
initialization, the samples and the graph alone, with the failures of the same seed: the network is replaced by its
linearization, which needs no training and never sees a run. Columns: test accuracy and test loss of the mean device,
for two widths of one hidden layer. (Row 1) Runs, and dashed, predictions by one linearization about the common start;
thin: every single device of seed {seed}, as seen. (Row 2) Where that does not fit: predicted minus seen, a line for
each seed, in points of accuracy and in per cent of the loss seen. (Row 3) The same for predictions that are linearized
anew after rounds 2, 4, 8, ..., about the mean of the devices that the theory itself predicts for then. (Below) Test
accuracy of single devices of seed {seed} (of eight, if there are more), the narrower network, one linearization; a
device falls in rounds in which links to it fail. All after cooperation; lines pass over rounds that were not evaluated.
Setting: {setting}.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from p2pl.stats import last_phase
from paper_figures import style
from paper_figures.predicted import ANEW, ONCE, PREDICTED, SEEN, THICK, legend, overlay, plain, units

NEEDS = ("theory_cuts", "theory_width.none.theory", "theory_cuts.geometric.theory")

WIDTH = "model.hidden"
MEASURES = {"accuracy_mean": "accuracy", "loss_mean": "loss"}
LABELS = {"accuracy": ("test accuracy (%)", "points"), "loss": ("test loss", "%")}
DEVICES = 8  # at most, that have panels of their own
PALE: dict[str, Any] = {"color": style.BLUE, "linewidth": 0.4, "alpha": 0.5}


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    seen, once, anew = (last_phase(results[name]) for name in NEEDS)
    arm = style.unique(seen, "arm")[0]
    seen, once, anew = (table[table["arm"] == arm] for table in (seen, once, anew))
    figure = style.page(8.2)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.9, 1], squeeze=False)[:, 0]
    letters = iter(ascii_lowercase)
    means(top, seen, {ONCE: once, ANEW: anew}, letters)
    narrow, first = style.unique(seen, WIDTH)[0], seen["seed"].min()
    run, theory = (table[(table[WIDTH] == narrow) & (table["seed"] == first)] for table in (seen, once))
    devices(bottom, run, theory, letters)
    bottom.suptitle(f"{arm}, {units(narrow)}: single devices of seed {first}", fontsize="medium")
    top.suptitle(f"{arm}: mean of the devices", fontsize="medium")
    legend(figure, {ONCE: PREDICTED[ONCE]}, {"one device": Line2D([], [], **PALE)})
    return figure


def means(figure: SubFigure, seen: pd.DataFrame, ways: dict[str, pd.DataFrame], letters: Iterator[str]) -> None:
    """Runs with one prediction, then the errors of each way to predict; a column for each measure and width."""
    widths = style.unique(seen, WIDTH)
    columns = [(value, width) for value in MEASURES for width in widths]
    axes = figure.subplots(len(ways) + 1, len(columns), sharex=True, squeeze=False, height_ratios=[1.4, 1, 1])
    for ax, letter, (value, width) in zip(axes[0], letters, columns, strict=False):
        runs, theory = (table[table[WIDTH] == width] for table in (seen, ways[ONCE]))
        if value == "accuracy_mean":
            ax.plot(*devices_of(runs[runs["seed"] == runs["seed"].min()]), **PALE)
        overlay(ax, runs, theory, value, PREDICTED[ONCE], scale=100 if value == "accuracy_mean" else 1)
        style.panel(ax, letter, f"{units(width)}: {MEASURES[value]}")
    for row, table in zip(axes[1:], ways.values(), strict=True):
        for ax, letter, (value, width) in zip(row, letters, columns, strict=False):
            misfit(ax, seen[seen[WIDTH] == width], table[table[WIDTH] == width], value)
            style.panel(ax, letter, f"{units(width)}: error")
    for ax in axes[-1]:
        ax.set_xlabel("round")
    for first, said in zip((0, len(widths)), MEASURES.values(), strict=True):
        label(axes[:, first : first + len(widths)], said, list(ways))


def devices_of(run: pd.DataFrame) -> tuple[pd.Series, np.ndarray]:
    """Rounds, and the test accuracy of every device then, in per cent: (rounds, K)."""
    return run["round"], 100 * np.stack(list(run["accuracy_devices"]))


def misfit(ax: Axes, seen: pd.DataFrame, predicted: pd.DataFrame, value: str) -> None:
    """Predicted minus seen of each run: points of accuracy, or per cent of the loss that was seen."""
    both = seen.merge(predicted[["run", "round", value]], on=["run", "round"], suffixes=("", "_th"))
    gap = 100 * (both[f"{value}_th"] - both[value])
    both["gap"] = gap if value == "accuracy_mean" else gap / both[value]
    for (_, run), line in zip(both.groupby("seed"), cycle(style.LINES), strict=False):
        ax.plot(run["round"], run["gap"], color="0.2", linewidth=0.8, linestyle=line)
    ax.axhline(0, color="0.4", linewidth=0.6)


def label(axes: np.ndarray, said: str, ways: Sequence[str]) -> None:
    """The panels of one measure: a common vertical axis for runs, and one for errors."""
    value, unit = LABELS[said]
    axes[0, 0].set_ylabel(value)
    for ax, way in zip(axes[1:, 0], ways, strict=True):
        ax.set_ylabel(f"{way},\npredicted – seen ({unit})")
    for ax in axes[0, 1:]:
        ax.sharey(axes[0, 0])
    for ax in (axes[0, 0], axes[1, 0]):
        ax.autoscale(axis="y")  # over all that share it
    if said == "loss":
        for ax in axes[0]:
            ax.set_yscale("log")
        plain(axes[0, 0].yaxis)
    for ax in axes[1:].flat[1:]:
        ax.sharey(axes[1, 0])
    for ax in axes[:, 1:].flat:
        ax.tick_params(labelleft=False)


def devices(figure: SubFigure, seen: pd.DataFrame, predicted: pd.DataFrame, letters: Iterator[str]) -> None:
    """A panel for each device of one run."""
    (rounds, runs), (moments, theory) = devices_of(seen), devices_of(predicted)
    number = min(DEVICES, runs.shape[1])
    axes = figure.subplots(-(-number // 4), 4, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[number:]:
        ax.set_axis_off()
    look = PREDICTED[ONCE]
    for device, (ax, letter) in enumerate(zip(axes.flat[:number], letters, strict=False)):
        ax.plot(rounds, runs[:, device], color=SEEN.color, linewidth=THICK)
        ax.plot(moments, theory[:, device], color=look.color, linestyle=look.linestyle)
        style.panel(ax, letter, f"device {device}")
    axes[0, 0].set_ylim(bottom=0)
    axes[0, 0].yaxis.set_major_locator(MultipleLocator(25))
    for ax in axes[-1]:
        ax.set_xlabel("round")
    for ax in axes[:, 0]:
        ax.set_ylabel("test accuracy (%)")
