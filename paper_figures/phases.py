"""The two phases of every round on one axis: after learning at r - 1/2, open marks; after cooperation at r, filled."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from p2pl.stats import band
from paper_figures import style
from paper_figures.style import Look

BEFORE = {"learn": 0.5}  # of a round
FACES = {"after learning": "white", "after cooperation": "0.3"}  # of the marks, in a legend


def by_half_rounds(table: pd.DataFrame, value: str) -> pd.DataFrame:
    """Mean and interval of one cell over its phases, `half` being their place; empty if no run knows the value."""
    halves = table["round"] - table["phase"].map(BEFORE).fillna(0)
    return band(table.assign(half=halves), ["arm"], value, x="half").sort_values("half")


def saw_tooth(ax: Axes, table: pd.DataFrame, value: str, look: Look, scale: float = 100) -> None:
    """One curve over the phases of one cell, if `value` is defined in all of its runs."""
    points = by_half_rounds(table, value)
    style.draw_band(ax, points, look._replace(marker="None"), x="half", scale=scale)
    for (_, rows), face in zip(points.groupby(points["half"] % 1 == 0), ("white", look.color), strict=False):
        kind: dict[str, Any] = {"color": look.color, "marker": look.marker, "linestyle": "none", "mfc": face}
        ax.plot(rows["half"], scale * rows["mean"], **kind, zorder=3)  # above all lines
