"""**What the theory predicts, over what was seen.** Blue: runs of P2PL. Black: their prediction, made of the
initialization, the samples and the graph alone, with the failures of the same seed: the network is replaced by its
linearization, which needs no training. Dashed: one linearization for the whole run, about the common start; dotted:
linearized anew after rounds 2, 4, 8, ..., about the mean of the devices that the theory itself predicts for then. It
never sees a run. Columns: test accuracy and test loss, for two widths of one hidden layer. (Rows 1 and 2) Mean of the
devices; pale, thin: every single device of seed {seed}, as seen. (Row 3) Where it does not fit: predicted minus seen
for the mean device, in points of accuracy and in per cent of the loss seen, paired by seed. (Below) Accuracy of single
devices of seed {seed} (of eight, if there are more), the widest network; their falls are rounds in which links failed.
All after cooperation; lines pass over rounds that were not evaluated. Setting: {setting}.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from p2pl.stats import band, last_phase
from paper_figures import style
from paper_figures.predicted import ANEW, ONCE, PREDICTED, SEEN, THICK, legend, overlay, units

NEEDS = ("theory_cuts", "theory_width.none.theory", "theory_cuts.geometric.theory")

WIDTH = "model.hidden"
MEASURES = {"accuracy_mean": ("accuracy", 100.0), "loss_mean": ("loss", 1.0)}
DEVICES = 8  # at most, that have panels of their own
PALE: dict[str, Any] = {"color": style.BLUE, "linewidth": 0.4, "alpha": 0.5}


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    seen, once, anew = (last_phase(results[name]) for name in NEEDS)
    arm = style.unique(seen, "arm")[0]
    seen, once, anew = (table[table["arm"] == arm] for table in (seen, once, anew))
    figure = style.page(8.4)
    top, bottom = figure.subfigures(2, 1, height_ratios=[2, 1], squeeze=False)[:, 0]
    letters = iter(ascii_lowercase)
    means(top, seen, {ONCE: once, ANEW: anew}, letters)
    top.suptitle(f"{arm}: mean of the devices", fontsize="medium")
    wide, first = style.unique(seen, WIDTH)[-1], seen["seed"].min()
    run, theory = (table[(table[WIDTH] == wide) & (table["seed"] == first)] for table in (seen, once))
    devices(bottom, run, theory, letters)
    bottom.suptitle(f"{arm}, {units(wide)}: single devices of seed {first}", fontsize="medium")
    legend(figure, PREDICTED, {"one device": Line2D([], [], **PALE)})
    return figure


def means(figure: SubFigure, seen: pd.DataFrame, ways: dict[str, pd.DataFrame], letters: Iterator[str]) -> None:
    """A row for each way to predict, and one for the differences; a column for each measure and width."""
    widths = style.unique(seen, WIDTH)
    columns = [(value, width) for value in MEASURES for width in widths]
    axes = figure.subplots(len(ways) + 1, len(columns), sharex=True, squeeze=False)
    for column, (value, width) in enumerate(columns):
        said, scale = MEASURES[value]
        runs = seen[seen[WIDTH] == width]
        for ax, (way, table) in zip(axes[:, column], ways.items(), strict=False):
            if value == "accuracy_mean":
                single(ax, runs[runs["seed"] == runs["seed"].min()])
            overlay(ax, runs, table[table[WIDTH] == width], value, PREDICTED[way], scale=scale)
            style.panel(ax, next(letters), f"{units(width)}: {said}")
        for way, table in ways.items():
            difference(axes[-1, column], runs, table[table[WIDTH] == width], value, way)
        style.panel(axes[-1, column], next(letters), f"{units(width)}: error")
        axes[-1, column].set_xlabel("round")
    for first, (said, unit) in zip((0, len(widths)), (("accuracy", "points"), ("loss", "% of the loss")), strict=True):
        shared(axes[:-1, first : first + len(widths)], logarithmic=said == "loss")
        shared(axes[-1:, first : first + len(widths)])
        axes[-1, first].set_ylabel(f"predicted – seen\n({unit})")
        for ax, way in zip(axes[:, first], ways, strict=False):
            ax.set_ylabel(f"{way}\ntest {said}{' (%)' if said == 'accuracy' else ''}")


def single(ax: Axes, runs: pd.DataFrame) -> None:
    """Every device of one run, thin and pale."""
    ax.plot(runs["round"], 100 * np.stack(list(runs["accuracy_devices"])), **PALE)


def difference(ax: Axes, seen: pd.DataFrame, predicted: pd.DataFrame, value: str, way: str) -> None:
    """Predicted minus seen with its band over seeds: points of accuracy, or per cent of the loss that was seen."""
    both = seen.merge(predicted[["run", "round", value]], on=["run", "round"], suffixes=("", "_th"))
    gap = 100 * (both[f"{value}_th"] - both[value])
    both["gap"] = gap if value == "accuracy_mean" else gap / both[value]
    style.draw_band(ax, band(both, ["arm"], "gap"), PREDICTED[way], scale=1)
    ax.axhline(0, color="0.4", linewidth=0.6)


def shared(axes: np.ndarray, logarithmic: bool = False) -> None:
    """One vertical axis for all of these panels, labelled in the first column."""
    for ax in axes.flat:
        if logarithmic:
            ax.set_yscale("log")
        if ax is not axes.flat[0]:
            ax.sharey(axes.flat[0])
    for ax in axes[:, 1:].flat:
        ax.tick_params(labelleft=False)


def devices(figure: SubFigure, seen: pd.DataFrame, predicted: pd.DataFrame, letters: Iterator[str]) -> None:
    """A panel for each device of one run."""
    number = min(DEVICES, len(seen["accuracy_devices"].iloc[0]))
    rows = -(-number // 4)
    axes = figure.subplots(rows, 4, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[number:]:
        ax.set_axis_off()
    for device, (ax, letter) in enumerate(zip(axes.flat[:number], letters, strict=False)):
        ax.plot(seen["round"], accuracy_of(device, seen), color=SEEN.color, linewidth=THICK)
        look = PREDICTED[ONCE]
        ax.plot(predicted["round"], accuracy_of(device, predicted), color=look.color, linestyle=look.linestyle)
        style.panel(ax, letter, f"device {device}")
    for ax in axes[-1]:
        ax.set_xlabel("round")
    for ax in axes[:, 0]:
        ax.set_ylabel("test accuracy (%)")


def accuracy_of(device: int, rows: pd.DataFrame) -> Sequence[float]:
    """Of one device at every round of a run, in per cent."""
    return [100 * float(values[device]) for values in rows["accuracy_devices"]]
