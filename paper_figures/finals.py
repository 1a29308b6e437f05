"""Where curves end: accuracy (or another measure) in the last round against what was varied, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from p2pl.experiment import Experiment
from p2pl.stats import band, last_phase
from paper_figures import style
from paper_figures.style import Look

APART = 4.0  # points of paper between curves whose marks would else hide each other


def final(table: pd.DataFrame, by: Sequence[str], value: str) -> pd.DataFrame:
    """One row for each combination of `by`: its mean in the last round of its runs with the interval, as `band` has it.

    NaN where a seed did not get there: a mean over the others would flatter.
    """
    points = band(last_phase(table), by, value)
    rounds = {run: Experiment.of(spec).rounds for run, spec in table.attrs["specs"].items()}
    combinations = table.drop_duplicates(list(by))
    asked = combinations[list(by)].assign(round=combinations["run"].map(rounds))
    return asked.merge(points, how="left", on=[*by, "round"])


def draw_finals(ax: Axes, points: pd.DataFrame, by: str, x: str, looks: Mapping[Any, Look], scale: float = 100) -> None:
    """Means with intervals against x, a curve for each value of `by`, side by side; a cross where there is no mean."""
    for row, (name, look) in enumerate(looks.items()):
        here = points[points[by] == name]
        artists: list[Artist] = []
        for part in stretches(here):
            half = scale * (part["high"] - part["mean"]).fillna(0)  # one seed has no spread
            curve = ax.errorbar(
                part[x], scale * part["mean"], half, **look._asdict(), markersize=5, markeredgecolor="white",
                elinewidth=0.8,
            )  # fmt: skip
            artists += curve.get_children()
        for place in here.loc[here["mean"].isna(), x]:
            on_axis: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False}
            artists += ax.plot(place, 0, "x", color=look.color, markeredgewidth=1.2, **on_axis)
        move(artists, APART * (row - (len(looks) - 1) / 2))


def stretches(points: pd.DataFrame) -> list[pd.DataFrame]:
    """The parts of a curve between the points without a mean: no line is drawn over those."""
    parts = [part.dropna(subset=["mean"]) for _, part in points.groupby(points["mean"].isna().cumsum())]
    return [part for part in parts if len(part)]


def move(artists: Iterable[Artist], points: float) -> None:
    """To the right, in points of paper; what they say of the range of the data stays as it was."""
    for artist in artists:
        scale = artist.get_figure(root=True).dpi_scale_trans  # type: ignore[union-attr]
        artist.set_transform(artist.get_transform() + ScaledTranslation(points / 72, 0, scale))


def values_axis(ax: Axes, values: Iterable[float]) -> None:
    """A logarithmic axis of x whose ticks are the values tried."""
    known = sorted(set(values))
    ax.set_xscale("log")
    ax.set_xticks(known, [style.words(value) for value in known])
    ax.set_xticks([], minor=True)
    ax.margins(x=0.08)


def zoomed_accuracy_axis(axes: Sequence[Axes], *points: pd.DataFrame) -> None:
    """`style.accuracy_axis` for ends of curves, which lie near the top: from below the lowest, or two ticks down."""
    style.accuracy_axis(axes)
    lowest = 100 * min(float(np.nanmin(found[["low", "mean"]])) for found in points)
    for ax in axes:
        ax.set_ylim(bottom=max(0, min(100 - 1.1 * (100 - lowest), *ax.get_yticks()[-2:])))
