"""A benchmark's outcome as a picture: bars of the standard job, curves of growth. No colour says anything alone."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from p2pl.atomic import write_whole
from p2pl.benchmark.job import KINDS

# Okabe and Ito (2008), which the colour-blind can tell apart; hatches, markers and line styles say the same.
LOOKS = (
    ("#0072B2", "", "o", "-"),
    ("#D55E00", "///", "s", "--"),
    ("#009E73", "...", "D", "-."),
    ("#CC79A7", "xxx", "^", ":"),
    ("#E69F00", "\\\\\\", "v", (0, (5, 1, 1, 1))),
    ("#56B4E9", "++", "P", (0, (1, 1))),
)
LABELS = {"devices": "devices K", "width": "units of the hidden layer", "batch": "batch", "depth": "hidden layers"}


def draw(outcome: dict[str, Any], path: Path) -> None:
    """Write the picture to `path`, whole or not at all; its kind is that of the suffix."""
    curves = list(dict.fromkeys(row["by"] for row in outcome["growth"]))
    names = list(dict.fromkeys(row["engine"] for row in [*outcome["engines"], *outcome["growth"]]))
    looks = dict(zip(names, cycle(LOOKS), strict=False))
    figure = Figure(figsize=(7.5, 3 + 2.4 * -(-len(curves) // 2)), layout="constrained")
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(3, 2.4 * -(-len(curves) // 2)))[:, 0]
    for inputs, ax in zip(KINDS, upper.subplots(1, 3), strict=True):
        bars([row for row in outcome["engines"] if row["inputs"] == inputs], looks, ax)
        ax.set_title(f"{inputs} inputs", fontsize=9)
    panels = lower.subplots(-(-len(curves) // 2), 2, squeeze=False).ravel()
    for by, ax in zip(curves, panels, strict=False):
        lines([row for row in outcome["growth"] if row["by"] == by], by, looks, ax)
    for ax in panels[len(curves) :]:
        ax.set_axis_off()
    panels[0].legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(0, 0.9))
    write_whole(path, lambda file: figure.savefig(file, format=path.suffix[1:], dpi=150))


def bars(rows: list[dict[str, Any]], looks: dict[str, Any], ax: Axes) -> None:
    """Microseconds a device-step, the fastest at the top, each with how many times as fast as the plain loop it is."""
    rows = sorted(rows, key=lambda row: -row["us_per_device_step"])
    for place, row in enumerate(rows):
        colour, hatch, _, _ = looks[row["engine"]]
        ax.barh(place, row["us_per_device_step"], color=colour, hatch=hatch, edgecolor="white", height=0.7)
        ratio = row["ratio_to_plain_loop"]
        words = f" {row['us_per_device_step']:.0f}" + ("" if ratio is None else f" us, {ratio:.2f}x")
        ax.text(row["us_per_device_step"], place, words, va="center", fontsize=7)
    ax.set_yticks(range(len(rows)), [row["engine"] for row in rows], fontsize=8)
    ax.yaxis.set_tick_params(labelleft=True)
    ax.set_xlim(0, 1.45 * max(row["us_per_device_step"] for row in rows))
    ax.set_xlabel("us of CPU per device-step", fontsize=8)
    ax.tick_params(axis="x", labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)


def lines(rows: list[dict[str, Any]], by: str, looks: dict[str, Any], ax: Axes) -> None:
    for engine in dict.fromkeys(row["engine"] for row in rows):
        some = [row for row in rows if row["engine"] == engine]
        colour, _, marker, style = looks[engine]
        x, y = [row["value"] for row in some], [row["us_per_device_step"] for row in some]
        ax.plot(x, y, color=colour, marker=marker, linestyle=style, markersize=4, linewidth=1.2, label=engine)
    values = sorted({row["value"] for row in rows})
    ax.set_xscale("linear" if by == "depth" else "log")
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xticks(values, [str(value) for value in values])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(LABELS.get(by, by), fontsize=8)
    ax.set_ylabel("us / device-step", fontsize=8)
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
