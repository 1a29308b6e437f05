"""**Forecasts of rounds.** P2PL with cross-entropy, mini-batches and momentum on five graphs, every link down with
the given probability in each round; one large mark for each setting: geometric means over n = {seeds} seeds (small
marks: the seeds) of the rounds until the mean device reaches {target} test accuracy. (a) Rounds seen against rounds
forecast, by networks that see no more of every input than 20 numbers, with the data, start, batches and failures of
the run; dashed: forecast = seen. (b) The same rounds against what the graph says without any
training: the spectral gap of the mean of the run's mixing matrices, 1 - SLEM (axis reversed). Titles: Spearman's rank
correlation over the settings with the rounds seen, mean over seeds and 95 % Student-t interval, cut off at 1 (for the
gap: of its negative). (c) The map of forecasts: darker is slower; in brackets, what the runs took. A setting of which
some seed never got there has no large mark and a dash in the map. Setting: {setting}.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from p2pl.effects import NotRun
from p2pl.errors import Ranks
from p2pl.experiment import Experiment
from p2pl.stats import t_interval
from paper_figures import style
from paper_figures.predicted import plain
from paper_figures.style import Look

NEEDS = ("forecast.span.errors",)

RATE = "failures.rate"
FILLS = ("full", "left", "none")  # of marks, by failure rate
NARROW: dict[str, Any] = {"columnspacing": 1.0, "handletextpad": 0.1}
SLOWEST = 0.55  # of the shades of the map: words stay readable on it


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    (table,) = results.values()
    targets = {run: Experiment.of(spec).evaluation.target for run, spec in table.attrs["specs"].items()}
    known = table[table["target"] == table["run"].map(targets)].assign(gap=lambda rows: 1 - rows["slem"])
    looks = style.looks(style.unique(table, "arm"))
    figure = style.page(3.0)
    axes = figure.subplots(1, 3, squeeze=False, width_ratios=[1, 1, 1.05])[0]
    for ax, letter, x in zip(axes, "ab", ("rounds_forecast", "gap"), strict=False):
        settings(ax, known, x, looks)
        style.panel(ax, letter, f"Spearman {correlation(known, x)}")
    finish(axes[0], axes[1], known)
    board(axes[2], known, list(looks))
    style.panel(axes[2], "c", "rounds forecast (and seen)")
    legend(figure, known, looks)
    return figure


def correlation(known: pd.DataFrame, x: str) -> str:
    """Spearman's, with the rounds seen, in words. Of the gap: with less of it, for more is faster."""
    try:
        values, _, unknown = Ranks({}, "slem" if x == "gap" else x, "rounds").measure(known)
    except NotRun:
        return "–"
    if unknown or not len(values):
        return "–"
    mean, low, high, n = t_interval(values)
    return f"{mean:.2f} ({low:.2f} to {min(high, 1):.2f})" if n > 1 else f"{mean:.2f}"


def means(rows: pd.DataFrame, columns: list[str]) -> pd.Series | None:
    """Geometric means over seeds; None if one of them has no value."""
    values = rows[columns]
    known = bool(values.notna().all(axis=None) and (values > 0).all(axis=None))
    return np.exp(np.log(values).mean()) if known else None


def settings(ax: Axes, known: pd.DataFrame, x: str, looks: dict[Any, Look]) -> None:
    """Rounds seen against x: a mark for each setting, small ones for its seeds."""
    fills = dict(zip(style.unique(known, RATE), FILLS, strict=False))
    for (arm, rate), rows in known.groupby(["arm", RATE], sort=False):
        kind: dict[str, Any] = {"color": looks[arm].color, "marker": looks[arm].marker, "linestyle": "none"}
        there = rows[(rows[x] > 0) & rows["rounds"].notna()]
        ax.plot(there[x], there["rounds"], **kind | {"markersize": 2, "alpha": 0.5})
        mean = means(rows, [x, "rounds"])
        if mean is not None:
            ax.plot(mean[x], mean["rounds"], **kind, fillstyle=fills[rate], markersize=6, markerfacecoloralt="white")


def finish(left: Axes, right: Axes, known: pd.DataFrame) -> None:
    """Logarithmic axes in plain numbers; rounds on the same ones."""
    rounds = known[["rounds", "rounds_forecast"]].to_numpy(float)
    rounds = rounds[np.isfinite(rounds)] if np.isfinite(rounds).any() else np.array([1.0, 10.0])
    low, high = 0.8 * rounds.min(), 1.25 * rounds.max()
    left.plot([low, high], [low, high], color="0.4", linewidth=0.7, linestyle=(0, (4, 2)), zorder=1)
    for ax in (left, right):
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_ylim(low, high)
    left.set_xlim(low, high)
    right.invert_xaxis()
    for axis in (left.xaxis, left.yaxis, right.xaxis, right.yaxis):
        plain(axis)
    left.set_ylabel("rounds seen")
    left.set_xlabel("rounds forecast")
    right.set_xlabel("spectral gap of the mean mixing matrix")


def board(ax: Axes, known: pd.DataFrame, arms: list[Any]) -> None:
    """Rounds forecast over topologies and failure rates, and in brackets those seen."""
    rates = style.unique(known, RATE)
    shades = np.full((len(arms), len(rates)), np.nan)
    for row, arm in enumerate(arms):
        for column, rate in enumerate(rates):
            here = known[(known["arm"] == arm) & (known[RATE] == rate)]
            said = [means(here, [name]) for name in ("rounds_forecast", "rounds")]
            numbers = ["–" if one is None else f"{one.iloc[0]:.1f}" for one in said]
            ax.text(column, row, f"{numbers[0]}\n({numbers[1]})", ha="center", va="center", linespacing=1.1)
            shades[row, column] = np.nan if said[0] is None else np.log(said[0].iloc[0])
    span = (np.nanmin(shades), np.nanmax(shades)) if np.isfinite(shades).any() else (0.0, 1.0)
    top = span[0] + max(span[1] - span[0], 1e-9) / SLOWEST
    ax.imshow(np.ma.masked_invalid(shades), cmap="Blues", vmin=span[0], vmax=top, aspect="auto", zorder=0)
    ax.set_xticks(range(len(rates)), [style.words(float(rate)) for rate in rates])
    ax.set_yticks(range(len(arms)), [style.words(arm) for arm in arms])
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.set_xlabel("probability that a link is down")


def legend(figure: Figure, known: pd.DataFrame, looks: dict[Any, Look]) -> None:
    """Graphs by colour and marker, failure rates by how marks are filled."""
    handles = {
        style.words(arm): Line2D([], [], color=look.color, marker=look.marker, linestyle="none")
        for arm, look in looks.items()
    }
    for rate, fill in zip(style.unique(known, RATE), FILLS, strict=False):
        mark: dict[str, Any] = {"marker": "o", "linestyle": "none", "fillstyle": fill, "markerfacecoloralt": "white"}
        handles[f"{rate:g} down"] = Line2D([], [], color="0.3", **mark)
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles), **NARROW)
