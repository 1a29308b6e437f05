"""**Claims and controls.** Effects, one row a claim of `claims.md`, but for those of predictions (ER: Erdős–Rényi):
means with 95 % Student-t intervals over n = {seeds} seeds, paired; grey: the limits in the rule of the claim. Filled
marks: the claim holds; crosses: it does not; open marks: undecided; †: the value of some seeds is only a bound, for a
run ended before it got there. Left: binary logarithms of ratios of rounds to the experiment's target accuracy; -1 means
half the rounds. Right: differences of test accuracy in percentage points, on an axis of their square roots. Triangles:
the interval goes on.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pl.verdicts import Judgement, judge
from paper_figures import style
from paper_figures.claims import SECTIONS

NEEDS = (
    "topologies", "devices", "synchronization", "leaders", "noniid", "diameter", "depth", "weights", "sizes",
    "failures", "channels", "intermittent", "communication", "push", "long_run", "compressors",
    "merging", "digraphs", "permutations", "algorithms_tree", "algorithms_ring", "algorithms_exponential",
)  # fmt: skip

MARKS = {"holds": ("o", style.BLUE, style.BLUE), "does not hold": ("X", style.VERMILLION, style.VERMILLION)}
UNDECIDED = ("o", "white", "0.35")
COLUMNS = {"log2 rounds": "ratio of rounds (binary logarithm)", "points": "difference (points)"}

Row = Judgement | str  # a claim with what was seen, or a heading


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    columns = {unit: rows_of(unit, results) for unit in COLUMNS}
    figure = style.page(0.9 + 0.135 * max(len(rows) for rows in columns.values()))
    axes = figure.subplots(1, len(columns), squeeze=False)[0]
    for ax, (unit, rows), letter in zip(axes, columns.items(), "ab", strict=True):
        forest(ax, rows, unit)
        ax.set_xlabel(COLUMNS[unit])
        style.panel(ax, letter, "rounds" if unit == "log2 rounds" else "accuracy")
    return figure


def rows_of(unit: str, results: Mapping[str, pd.DataFrame]) -> list[Row]:
    """The claims whose effect is in this unit, under the headings of their sections."""
    rows: list[Row] = []
    for title, claims in SECTIONS.items():
        judged = [judge(claim, results) for claim in claims if claim.effect.unit == unit and claim.experiment in NEEDS]
        rows += [title, *judged] if judged else []
    return rows


def forest(ax: Axes, rows: list[Row], unit: str) -> None:
    """Intervals from the top down, with the limits of their rules behind them."""
    ax.set_ylim(len(rows) - 0.4, -0.6)
    span = reach([row for row in rows if isinstance(row, Judgement)])
    if unit == "points":
        ax.set_xscale("function", functions=(signed_root, lambda root: root * np.abs(root)))
        ax.set_xticks([tick for tick in (-30, 0, 30) if abs(tick) <= span])
        ax.set_xticks([-10, 10], minor=True)  # their labels would touch those of 30
    ax.set_xlim(-1.1 * span, 1.1 * span)
    for height, row in enumerate(rows):
        if isinstance(row, Judgement):
            interval(ax, height, row, span)
    ax.axvline(0, color="0.4", linewidth=0.6)
    ax.set_yticks(range(len(rows)), [row if isinstance(row, str) else row.claim.name for row in rows])
    for tick, row in zip(ax.get_yticklabels(), rows, strict=True):
        tick.set_fontsize(6)
        tick.set_fontweight("bold" if isinstance(row, str) else "normal")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)


def reach(judged: list[Judgement]) -> float:
    """How far an axis goes to either side of 0: all means and limits are on it, and all but very long intervals."""
    seen = [one.interval for one in judged if one.interval.n > 1]
    ends = [max(abs(one.low), abs(one.high)) for one in seen] or [0.0]
    must = [abs(one.mean) for one in seen] + [abs(one.claim.holds_if.limit) for one in judged]
    return float(max(*must, min(max(ends), 3 * np.median(ends))))


def signed_root(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.sign(x) * np.sqrt(np.abs(x)))


def interval(ax: Axes, height: int, one: Judgement, span: float) -> None:
    """One row: limits, interval, mean; arrows at the edge for what lies beyond it."""
    rule = one.claim.holds_if
    for limit in (-rule.limit, rule.limit) if rule.kind == "within" else (rule.limit,):
        ax.plot([limit, limit], [height - 0.4, height + 0.4], color="0.75", linewidth=2, solid_capstyle="butt")
    if one.interval.n < 2:
        said = one.verdict if one.verdict == "not run" else f"n = {one.interval.n}"
        ax.text(0.02 * span, height, said, fontsize=6, va="center", color="0.35")
        return
    marker, face, edge = MARKS.get(one.verdict, UNDECIDED)
    low, mean, high = np.clip([one.interval.low, one.interval.mean, one.interval.high], -span, span)
    ax.plot([low, high], [height, height], color=edge)
    for end, beyond, arrow in ((-span, one.interval.low < -span, "<"), (span, one.interval.high > span, ">")):
        if beyond:
            ax.plot(end, height, marker=arrow, color=edge, markersize=3)
    ax.plot(mean, height, marker=marker, markerfacecolor=face, markeredgecolor=edge, markersize=3.5)
    if one.bounded:
        ax.text(high, height, " †", fontsize=6, va="center", color=edge)
