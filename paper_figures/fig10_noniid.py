"""**How far accuracy swings between learning and cooperation, and what dampens the swing.** A column is a partition of
the data. (Rows 1 and 2) Plain P2PL over the phases of every evaluated round r: test accuracy of the mean device after
learning (open marks, at r - 1/2) and after cooperation (filled marks, at r), of all classes, then of the classes that a
device has samples of and of those that it lacks (where there are any); lines pass over rounds that were not evaluated.
The axes are logarithmic in the error. (Rows 3 and 4) For plain P2PL and its variants: the gap, accuracy after
cooperation minus accuracy after learning, mean over the last third of the rounds; and the accuracy of the mean device
at the end of the runs. (Row 5) Differences of both between two variants, paired by seed, gap (filled marks) and
accuracy (open marks) side by side. Whiskers are intervals over seeds; scales differ between partitions. Affinity (our
reading of it) draws a device towards its neighbours while it learns; its control, *smaller self weight*, takes as much
weight off its own model when they cooperate instead. A smaller gap alone is no gain, for the gap also closes where
models collapse: it is one only where accuracy does not fall.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import ascii_lowercase

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from p2pl.effects import NotRun, PhaseGap
from paper_figures import cells, style
from paper_figures.phases import FACES, saw_tooth
from paper_figures.style import Look

NEEDS = ("noniid",)

PLAIN = "P2PL"
ALL = {"accuracy_mean": "all classes"}
SOME = {"own_class_accuracy": "own classes", "other_class_accuracy": "other classes"}
CONTROLLED = (("affinity", "smaller self weight"),)  # and what tells its cause from its rival
KINDS = ("gap", "accuracy"), ("points", "test accuracy (%)")


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["noniid"]
    partitions = style.unique(table, "partition")
    figure = style.page(8.2)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.4], squeeze=False)[:, 0]
    letters = iter(ascii_lowercase)
    swings(top, table[table["arm"] == PLAIN], partitions, letters)
    outcomes(bottom, table, partitions, letters)
    return figure


def swings(figure: SubFigure, table: pd.DataFrame, partitions: list[str], letters: Iterator[str]) -> None:
    """The saw-tooth over the phases: of all classes, and of those that devices have and lack."""
    looks = style.looks([*ALL.values(), *SOME.values()])
    axes = figure.subplots(2, len(partitions), squeeze=False, sharex=True)
    for row, measures in zip(axes, (ALL, SOME), strict=True):
        for ax, partition in zip(row, partitions, strict=True):
            for value, name in measures.items():
                saw_tooth(ax, table[table["partition"] == partition], value, looks[name])
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
            style.accuracy_axis([ax])
            style.panel(ax, next(letters), f"{style.words(partition)}: {'all' if measures is ALL else 'own, other'}")
        row[0].set_ylabel("test accuracy (%)")
    for ax in axes[-1]:
        ax.set_xlabel("round")
    legend(figure, FACES, looks)


def legend(figure: SubFigure, faces: Mapping[str, str], looks: Mapping[str, Look] | None = None) -> None:
    """What lines are, and what filled and open marks."""
    handles = {name: Line2D([], [], **look._asdict()) for name, look in (looks or {}).items()}
    handles |= {
        name: Line2D([], [], color="0.3", marker="o", linestyle="none", mfc=face) for name, face in faces.items()
    }
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles))


def gap(table: pd.DataFrame) -> pd.Series:
    """The gap between the phases of one cell, one value a seed; missing if it diverged."""
    finished = table.groupby("seed")["status"].first() == "finished"
    try:
        return PhaseGap({}).measure(table).values.reindex(finished.index).where(finished)
    except NotRun:
        return finished.map(lambda _: np.nan)


def accuracy(table: pd.DataFrame) -> pd.Series:
    """Of the mean device at the end of one cell, in per cent, one value a seed; missing if it diverged."""
    return 100 * cells.finals(table, "accuracy_mean").set_index("seed")["accuracy_mean"]


def outcomes(figure: SubFigure, table: pd.DataFrame, partitions: list[str], letters: Iterator[str]) -> None:
    """A column for each partition: gap and accuracy of each arm, then the differences of both between arms."""
    looks = style.looks(style.unique(table, "arm"))
    pairs = [(arm, PLAIN) for arm in looks if arm != PLAIN] + [pair for pair in CONTROLLED if set(pair) <= set(looks)]
    heights = [len(looks), len(looks), 2 * len(pairs)]
    axes = figure.subplots(3, len(partitions), squeeze=False, sharey="row", height_ratios=heights)
    found = {key: (gap(rows), accuracy(rows)) for key, rows in table.groupby(["partition", "arm"], sort=False)}
    for kind, (row, name, unit) in enumerate(zip(axes[:2], *KINDS, strict=True)):
        for ax, partition in zip(row, partitions, strict=True):
            for height, (arm, look) in enumerate(looks.items()):
                cells.whisker(ax, found[partition, arm][kind], height, look)
            lines(ax, list(looks), unit)
            style.panel(ax, next(letters), f"{style.words(partition)}: {name}")
    for ax, partition in zip(axes[2], partitions, strict=True):
        ax.axvline(0, color="0.4", linewidth=0.6)
        for height, (arm, other) in enumerate(pairs):
            ax.axhspan(height - 0.5, height + 0.5, color="0.95" if height % 2 else "white", zorder=0)
            for kind, face in enumerate((None, "white")):
                difference = found[partition, arm][kind] - found[partition, other][kind]
                cells.whisker(ax, difference, height + 0.36 * kind - 0.18, looks[arm], face)
        lines(ax, [f"{arm}\n– {other}" for arm, other in pairs], "difference (points)")
        style.panel(ax, next(letters), f"{style.words(partition)}: changes")
    legend(figure, {"gap": "0.3", "accuracy": "white"})


def lines(ax: Axes, labels: list[str], unit: str) -> None:
    """Labels from the top down."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel(unit)
