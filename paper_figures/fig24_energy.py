"""**Where does sending less save energy?** The share of values sent with which the mean device reaches an accuracy with
the least energy, over what a multiply-add and what a bit cost: Sparse-Push (our reading) on a directed graph of
{devices} devices, data sorted by class to the given part (skew). The accuracy is three points below what is reached
by sending all. Energy: e_mac times three multiply-adds a parameter, sample and step, and e_bit times the bits sent
and heard; nothing for waiting, frames and memory. Shades and words: the best share; dashed lines: what it saves
against sending all. Crosses: constants found in the literature. Energies are means over n = {seeds} seeds; hatched: not
decided, for the 95 % Student-t interval of the ratio of the second best to the best, paired by seed, has 1 inside. A
share with which some seed does not get there cannot be the best. Both axes are logarithmic.
"""

from __future__ import annotations

from string import ascii_lowercase

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.ndimage import distance_transform_edt
from scipy.stats import t

from p2pl.effects import after_cooperation, rounds_to, select
from p2pl.energy import BIT, MAC, joules, multiply_adds
from p2pl.experiment import Experiment
from p2pl.stats import CONFIDENCE
from paper_figures import style
from paper_figures.costs import with_megabytes

NEEDS = ("compression",)

SKEW, KEEP = "partition.fraction", "compression.keep"
BELOW = 0.03  # of the accuracy reached by sending all
SAVED = (10, 50, 90)  # per cent
FINE = 121  # points of a map along each side


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["compression"]
    skews = style.unique(table, SKEW)
    rows = -(-len(skews) // 2)
    figure = style.page(0.5 + 2.3 * rows)
    axes = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(skews) :]:
        ax.set_axis_off()
    for ax, skew, letter in zip(axes.flat, skews, ascii_lowercase, strict=False):
        goal, costs = spent(table, skew)
        region(ax, costs, style.unique(table, KEEP))
        style.panel(ax, letter, f"skew {skew:g}, to {100 * goal:.1f} %")
    figure.supxlabel("a multiply-add (pJ)", fontsize="medium")
    figure.supylabel("a bit (nJ)", fontsize="medium")
    return figure


def spent(table: pd.DataFrame, skew: float) -> tuple[float, dict[float, tuple[np.ndarray, np.ndarray]]]:
    """The accuracy to reach, and for each share that gets there multiply-adds and bits sent by a device, by seed."""
    table = with_megabytes(table)
    specs = {run: Experiment.of(spec) for run, spec in table.attrs["specs"].items()}
    full = max(style.unique(table, KEEP))
    goal = float(after_cooperation(table, {SKEW: skew, KEEP: full}, "accuracy_mean").iloc[-1].mean()) - BELOW
    found = {}
    for keep in style.unique(table, KEEP):
        rows = select(table, {SKEW: skew, KEEP: keep})
        reached = rounds_to(rows, "accuracy_mean", goal)
        if len(reached) < rows["seed"].nunique() or not reached["reached"].all():
            continue
        last, experiment = rows[rows["round"] == rows["round"].max()].iloc[-1], specs[rows["run"].iloc[0]]
        rounds = reached["rounds"].sort_index().to_numpy(dtype=float)
        bits = 8e6 * last["megabytes"] * rounds / last["round"]
        found[keep] = multiply_adds(experiment, parameters(table, full), 1) * rounds, bits
    return goal, found


def parameters(table: pd.DataFrame, full: float) -> int:
    """Of the model, by what a message weighs that holds all of it, and push-sum's weight."""
    last = table[table[KEEP] == full].iloc[-1]
    return int(last["bytes_sent"] // last["messages"]) // 4 - 1


def region(ax: Axes, costs: dict[float, tuple[np.ndarray, np.ndarray]], keeps: list[float]) -> None:
    """Which share is best where, in shades and words, with lines of what it saves."""
    e_mac, e_bit = np.meshgrid(np.geomspace(1e-12, 1e-8, FINE), np.geomspace(1e-9, 1e-6, FINE))
    ax.set(xscale="log", yscale="log")
    for mac in MAC:
        ax.plot(1e12 * np.full(len(BIT), mac), 1e9 * np.array(BIT), "x", color="0.2", markersize=3.5)
    if not costs:
        ax.text(0.5, 0.5, "not reached", transform=ax.transAxes, ha="center")
        return
    known = sorted(costs, reverse=True)
    energy = np.stack([
        joules(macs[:, None, None], bits[:, None, None], e_mac, e_bit) for macs, bits in (costs[keep] for keep in known)
    ])  # fmt: skip
    order = energy.mean(axis=1).argsort(axis=0)
    place = np.array([keeps.index(keep) for keep in known])[order[0]]
    shades = ListedColormap(seaborn.color_palette("YlGnBu", len(keeps)).as_hex())
    x, y = 1e12 * e_mac, 1e9 * e_bit
    ax.pcolormesh(x, y, place, cmap=shades, vmin=-0.5, vmax=len(keeps) - 0.5, rasterized=True)
    for number in np.unique(place):
        depth = distance_transform_edt(np.pad(place == number, 1))[1:-1, 1:-1]
        middle = depth.argmax()  # where most of its own colour is around it
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
        said = f"{100 * keeps[number]:g} %"
        ax.text(x.flat[middle], y.flat[middle], said, ha="center", va="center", bbox=box, fontsize=7, zorder=3)
    if len(known) > 1:
        doubt = ax.contourf(x, y, undecided(energy, order), [0.5, 1.5], colors="none", hatches=["\\\\\\\\"])
        doubt.set(edgecolor="0.35", linewidth=0)
    if max(keeps) in costs and len(known) > 1:
        saved = 100 * (1 - energy.mean(axis=1).min(axis=0) / energy[0].mean(axis=0))
        if saved.max() > min(SAVED):
            lines = ax.contour(x, y, saved, SAVED, colors="0.25", linewidths=0.7, linestyles="--")
            for text in ax.clabel(lines, fmt="%g %%", fontsize=6):
                text.set_path_effects([withStroke(linewidth=2, foreground="white")])


def undecided(energy: np.ndarray, order: np.ndarray) -> np.ndarray:
    """1 where the interval over seeds of the ratio of the second best to the best, paired, has 1 inside; else 0."""
    best, second = (np.take_along_axis(energy, order[rank][None, None], axis=0)[0] for rank in (0, 1))
    ratio, seeds = np.log(second / best), energy.shape[1]
    if seeds < 2:
        return np.ones(ratio.shape[1:])
    half = t.ppf((1 + CONFIDENCE) / 2, seeds - 1) * ratio.std(axis=0, ddof=1) / np.sqrt(seeds)
    return np.asarray(ratio.mean(axis=0) <= half, dtype=float)
