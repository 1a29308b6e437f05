"""One interval over seeds for each cell of an experiment: in a heat map that says its numbers, or on a row of its own.

A cell in which a run has diverged has no mean, for that of the others would flatter it: it says how many diverged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.transforms import blended_transform_factory

from p2pl.stats import last_phase, t_interval
from paper_figures.style import Look, words

SMALL = 7  # points: the numbers inside panels
SHADES = LinearSegmentedColormap.from_list("shades", seaborn.color_palette("YlGnBu", 9)[:7])


def finals(table: pd.DataFrame, value: str) -> pd.DataFrame:
    """The last row of every run, after cooperation as in `last_phase`; its `value` is missing if the run diverged."""
    last = last_phase(table).groupby("run", sort=False).tail(1)
    return last.assign(**{value: last[value].where(last["status"] == "finished")})


def said(values: pd.Series) -> str:
    """The mean of one value a seed over the half width of its interval; or how many are missing."""
    missing = int(values.isna().sum())
    if missing:
        return f"{missing} of {len(values)}\ndiverged"
    mean, _, high, n = t_interval(values)
    return f"{mean:.1f}\n± {high - mean:.1f}" if n > 1 else f"{mean:.1f}"


def heat_map(ax: Axes, table: pd.DataFrame, by: tuple[str, str], value: str, limits: tuple[float, float]) -> None:
    """Means over seeds of 100 x value, rows by[0] and columns by[1] in their order; `limits` are those of the shades.

    table: one row for each seed of a cell.
    """
    rows, columns = (list(table[key].unique()) for key in by)
    groups = (100 * table[value]).groupby([table[key] for key in by])
    means = groups.agg(lambda values: values.mean(skipna=False)).unstack().loc[rows, columns]
    texts = groups.agg(said).unstack().loc[rows, columns]
    kind: dict[str, Any] = {"vmin": limits[0], "vmax": limits[1], "cmap": SHADES, "linewidths": 1, "cbar": False}
    seaborn.heatmap(means, annot=texts, fmt="", ax=ax, annot_kws={"size": SMALL}, **kind)
    for i, j in zip(*means.isna().to_numpy().nonzero(), strict=True):
        ax.text(j + 0.5, i + 0.5, texts.iloc[i, j], ha="center", va="center", size=SMALL)
    ax.set(xlabel="", ylabel="")
    ax.set_xticklabels([words(label) for label in columns])
    ax.set_yticklabels([words(label) for label in rows], rotation=0)
    ax.tick_params(length=0)
    ax.grid(visible=False)


def limits(table: pd.DataFrame, by: Sequence[str], value: str) -> tuple[float, float]:
    """The least and the largest mean of the cells of several heat maps, in per cent."""
    means = (100 * table[value]).groupby([table[key] for key in by]).agg(lambda values: values.mean(skipna=False))
    return float(means.min()), float(means.max())


def whisker(ax: Axes, values: pd.Series, height: float, look: Look, face: str | None = None) -> None:
    """Mean and interval of one value a seed as a mark on the line at `height`; or how many are missing."""
    if values.isna().any():
        place = blended_transform_factory(ax.transAxes, ax.transData)
        text = " ".join(said(values).split())
        ax.text(0.02, height, text, transform=place, va="center", size=SMALL, color=look.color)
        return
    interval = t_interval(values)
    if interval.n > 1:
        ax.plot([interval.low, interval.high], [height, height], color=look.color)
    style: dict[str, Any] = {"marker": look.marker, "color": look.color, "markersize": 4.5, "linestyle": "none"}
    ax.plot(interval.mean, height, markerfacecolor=face or look.color, **style)
