"""What max norm synchronization gains: rounds to the target against those of independent starts, seed by seed."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import Formatter

from p2pl.effects import Slope
from p2pl.stats import t_interval
from p2pl.verdicts import judge
from paper_figures.claims import CLAIMS, ratio
from paper_figures.finals import move
from paper_figures.style import Look

LABEL = "log2 of the ratio of rounds"
BESIDE = 7.0  # points of paper from a mean to its seeds
SMALL = 6.5  # points: the smallest text


def gains(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """A row for each seed of each group: by, seed, `gain` (NaN if neither start got there), and its `bound`."""
    found = []
    for label, rows in table.groupby(by, sort=False):
        values, bound, _ = ratio("initialization", "max_norm", "independent", {by: label}).measure(table)
        seeds = pd.Index(rows["seed"].unique(), name="seed")
        found.append(pd.DataFrame({by: label, "gain": values, "bound": bound}, index=seeds).reset_index())
    return pd.concat(found, ignore_index=True)


def levels(ax: Axes) -> None:
    """Lines at as many rounds and at half as many."""
    ax.axhline(0, color="0.4", linewidth=0.6)
    ax.axhline(-1, color="0.4", linewidth=0.6, linestyle=(0, (5, 3)))


def draw_gain(
    ax: Axes, rows: pd.DataFrame, x: str, look: Look, number: object = "", aside: float | None = None
) -> None:
    """One group: its seeds as small marks, bounds as open triangles that point to where the truth may lie; the mean.

    The mean stands at the mean of x with its interval and `number` in it, open and without interval where a seed is a
    bound. Where a seed has no gain, a cross at the top, there is none. aside: points of paper to the right, where the
    seeds share one x: they stand left of the mean, and those without a gain are counted.
    """
    shared, right = aside is not None, aside or 0.0
    known, unknown = rows[rows["gain"].notna()], rows[rows["gain"].isna()]
    draw_seeds(ax, known, x, look, right - BESIDE if shared else 0.0)
    place = rows[x].mean()
    if unknown.empty:
        move(draw_mean(ax, place, known, look, str(number)), right)
        return
    on_top: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "color": look.color}
    move(ax.plot(unknown[x], [0.98] * len(unknown), "x", markersize=3.2, markeredgewidth=0.9, **on_top), right)
    if shared:
        counted = ax.text(place, 0.95, f"{len(unknown)}/{len(rows)}", ha="center", va="top", fontsize=SMALL, **on_top)
        counted.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.6})
        move([counted], right)


def draw_seeds(ax: Axes, known: pd.DataFrame, x: str, look: Look, right: float) -> None:
    for bound, marker, face in ((0, look.marker, look.color), (-1, "v", "none"), (1, "^", "none")):
        here = known[known["bound"] == bound]
        if len(here):
            mark: dict[str, Any] = {"marker": marker, "markersize": 3.2, "markerfacecolor": face, "linestyle": "none"}
            move(ax.plot(here[x], here["gain"], color=look.color, alpha=0.8, **mark), right)


def draw_mean(ax: Axes, place: float, known: pd.DataFrame, look: Look, number: str) -> list[Artist]:
    mean, low, high, n = t_interval(known["gain"])
    exact = (known["bound"] == 0).all()
    face, ink = (look.color, "white") if exact else ("white", look.color)
    bar = ax.plot([place, place], [low, high], linewidth=0.8, color=look.color) if exact and n > 1 else []
    mark = ax.plot(place, mean, look.marker, markersize=9 if number else 6, markerfacecolor=face, markeredgecolor=ink)
    text = ax.text(place, mean, number, color=ink, ha="center", va="center_baseline", fontsize=SMALL)
    return [*bar, *mark, text]


def slope(table: pd.DataFrame, experiment: str, unit: str) -> str:
    """What the claim on the experiment's gains says of their slope, in words: seed by seed, the mean with interval."""
    (claim,) = (one for one in CLAIMS if one.experiment == experiment and isinstance(one.effect, Slope))
    judged = judge(claim, {experiment: table})
    mean, low, high, n = judged.interval
    if n == 0:
        return "slope not known for any seed"
    interval = f" ({signed(low)} to {signed(high)})" if n > 1 else ""
    bounded = f", {judged.bounded} of them only bounds" if judged.bounded else ""
    return f"slope per {unit} {signed(mean)}{interval}\nn = {n}{bounded}"


def signed(value: float) -> str:
    return Formatter.fix_minus(f"{value:+.2f}")
