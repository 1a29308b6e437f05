"""Predictions over runs: what the figures of the theory share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from p2pl.stats import band
from paper_figures import style
from paper_figures.style import Look

SEEN = Look(style.SKY, "-", "None")
THICK = 2.4  # what was seen, so that it shows beneath its prediction
ONCE, ANEW = "one linearization", "linearized anew"
PREDICTED = {ONCE: Look(style.BLACK, (0, (4, 1.6)), "None"), ANEW: Look(style.BLACK, (0, (1.2, 1)), "None")}


def units(label: str) -> str:
    """Widths of hidden layers in words: `[1024]` becomes `1024 units`."""
    return f"{', '.join(map(str, json.loads(label)))} units"


def thick() -> AbstractContextManager[None]:
    """Within it, lines are as wide as those of what was seen."""
    return matplotlib.rc_context({"lines.linewidth": THICK})


def overlay(ax: Axes, seen: pd.DataFrame, predicted: pd.DataFrame, value: str, look: Look, scale: float = 100) -> None:
    """The runs of one cell with their band, and over them the mean of their predictions, against rounds."""
    with thick():
        style.draw_band(ax, band(seen, ["arm"], value), SEEN, scale=scale)
    points = band(predicted, ["arm"], value)
    ax.plot(points["round"], scale * points["mean"], color=look.color, linestyle=look.linestyle)


def legend(figure: FigureBase, looks: Mapping[str, Look], more: Mapping[str, Artist]) -> None:
    """Runs, with their band, and predictions, and whatever else a figure draws."""
    seen = (Patch(facecolor=SEEN.color, alpha=0.18), Line2D([], [], **SEEN._asdict(), linewidth=THICK))
    lines = {f"predicted, {name}": Line2D([], [], **look._asdict()) for name, look in looks.items()}
    handles: dict[str, Any] = {"runs": seen, **lines, **more}
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles))


def plain(axis: Axis) -> None:
    """A logarithmic axis in plain numbers, as many in a decade as its range has room for. To be called last."""
    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low)
    steps = (1, 1.5, 2, 3, 5, 7) if decades < 1 else (1, 2, 5) if decades < 2.5 else (1,)
    places = np.outer(10.0 ** np.arange(np.floor(np.log10(low)), np.log10(high)), steps).ravel()
    ticks = [float(place) for place in places if low <= place <= high]
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)
