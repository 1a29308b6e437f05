"""**Do weights by data size help where sizes are very unequal?** Test accuracy with P2PL weights, in proportion to data
sizes, minus that with equal weights, in percentage points and paired by seed: above 0 the weights by size are better.
(Row 1) The settings, with the share of all samples that each device has (random ones as drawn for seed {seed}). (Rows 2
and 3) Differences at the end of each round: when each device learns for one epoch of its own data, so that unequal
sizes also mean unequal numbers of local steps; and when all take equally many. (Row 4) The same differences at the end
of the runs, for the mean device, the worst device, and the average of the models, with their intervals over seeds;
filled marks: one local epoch, open marks: equal local steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_lowercase

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from p2pl import registry
from p2pl.experiment import Experiment
from p2pl.seeds import stream
from p2pl.stats import band, last_phase
from paper_figures import cells, style
from paper_figures.style import Look

NEEDS = ("sizes",)

BY_SIZE, EQUAL = "p2pl", "uniform"
MEASURES = {"accuracy_mean": "mean device", "accuracy_min": "worst device", "accuracy_of_average": "average model"}
MANY = 1_000_000  # samples that stand for all of a data set: shares of it do not depend on how many there are


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["sizes"]
    first = table.drop_duplicates("arm")
    arms = {arm: Experiment.of(table.attrs["specs"][run]) for arm, run in zip(first["arm"], first["run"], strict=True)}
    looks = style.looks(list(MEASURES.values()))
    figure = style.page(4.5 + 0.26 * len(arms))
    top, bottom = figure.subfigures(2, 1, height_ratios=[4.1, 0.4 + 0.26 * len(arms)], squeeze=False)[:, 0]
    letters = iter(ascii_lowercase)
    courses(top, table, arms, looks, letters)
    ends(bottom, table, arms, looks, letters)
    return figure


def gains(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """MEASURES with weights by size minus those with equal weights, in points, by keys; missing where either is."""
    by_size, equal = (table[table["mixing"] == way].set_index(keys)[list(MEASURES)] for way in (BY_SIZE, EQUAL))
    return 100 * (by_size - equal)


def settings_of(arms: dict[str, Experiment]) -> list[dict[bool, str]]:
    """Arms that differ in their local steps alone are one setting: that with epochs (False), that with steps (True)."""
    settings: dict[str, dict[bool, str]] = {}
    for arm, one in arms.items():
        setting = one.replace(**{"training.steps": None}).key
        settings.setdefault(setting, {})[one.training.steps is not None] = arm
    return list(settings.values())


def courses(
    figure: SubFigure, table: pd.DataFrame, arms: dict[str, Experiment], looks: dict[str, Look], letters: Iterator[str]
) -> None:
    """A column for each setting: the sizes, and differences over rounds for either kind of local steps."""
    settings = settings_of(arms)
    axes = figure.subplots(3, len(settings), squeeze=False, sharey="row", height_ratios=[0.6, 1, 1])
    for ax, setting in zip(axes[0], settings, strict=True):
        arm = next(iter(setting.values()))
        shares(ax, arms[arm])
        style.panel(ax, next(letters), arm)
    for row, kind in zip(axes[1:], (False, True), strict=True):
        for ax, setting in zip(row, settings, strict=True):
            if kind not in setting:
                style.panel(ax, next(letters), "not run")
                continue
            course(ax, last_phase(table[table["arm"] == setting[kind]]), looks)
            steps = arms[setting[kind]].training.steps
            style.panel(ax, next(letters), f"{steps} local steps" if kind else "one local epoch")
    for ax in axes[2]:
        ax.set_xlabel("round")
    for ax, label in zip(axes[:, 0], ("share (%)", "difference (points)", "difference (points)"), strict=True):
        ax.set_ylabel(label)


def shares(ax: Axes, one: Experiment) -> None:
    """Each device's share of all samples."""
    drawn = registry.sizes.call(one.sizes, samples=MANY, devices=one.devices, rng=stream(one.seed, "partition", 0))
    ax.plot(range(one.devices), 100 * drawn / MANY, color=style.GREY, marker="o", linestyle="none")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("device", labelpad=1)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def course(ax: Axes, rows: pd.DataFrame, looks: dict[str, Look]) -> None:
    """Differences at the end of each round, a curve for each measure."""
    long = gains(rows, ["seed", "round"]).rename(columns=MEASURES).melt(
        ignore_index=False, var_name="of", value_name="gain"
    ).reset_index()  # fmt: skip
    points = band(long, ["of"], "gain")
    ax.axhline(0, color="0.4", linewidth=0.6)
    for name, look in looks.items():
        style.draw_band(ax, points[points["of"] == name], look, scale=1)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def ends(
    figure: SubFigure, table: pd.DataFrame, arms: dict[str, Experiment], looks: dict[str, Look], letters: Iterator[str]
) -> None:
    """Differences at the end, a row for each arm."""
    last = last_phase(table).groupby("run", sort=False).tail(1)
    last = last.assign(**{value: cells.finals(table, value)[value] for value in MEASURES})
    found = gains(last, ["arm", "seed"])
    axes = figure.subplots(1, len(MEASURES), sharey=True, sharex=True)
    for ax, (value, name) in zip(axes, MEASURES.items(), strict=True):
        ax.axvline(0, color="0.4", linewidth=0.6)
        for height, (arm, one) in enumerate(arms.items()):
            face = None if one.training.steps is None else "white"
            cells.whisker(ax, found.loc[arm][value], height, looks[name], face)
        ax.set_xlabel("difference (points)")
        ax.set_yticks(range(len(arms)), list(arms))
        ax.set_ylim(len(arms) - 0.5, -0.5)
        ax.grid(axis="y", visible=False)
        style.panel(ax, next(letters), name)
    style.legend(figure, looks)
