"""**Claims and controls.** Effects, one row a claim of `claims.md`: means with 95 % Student-t intervals over n =
{seeds} seeds, paired; grey: the limits in the rule of the claim. Filled marks: the claim holds; crosses: it does not;
open marks: undecided. Left: differences of test accuracy in percentage points. Right: binary logarithms of ratios of
rounds to the accuracy that `claims.md` names; -1 means half the rounds.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pl.verdicts import Judgement, judge
from paper_figures import style
from paper_figures.claims import CLAIMS

NEEDS = ("topologies", "synchronization", "failures")

MARKS = {"holds": ("o", style.BLUE, style.BLUE), "does not hold": ("X", style.VERMILLION, style.VERMILLION)}
UNDECIDED = ("o", "white", style.GREY)


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    judged = [judge(claim, results) for claim in CLAIMS]
    units = list(dict.fromkeys(one.claim.effect.unit for one in judged))
    rows = {unit: [one for one in judged if one.claim.effect.unit == unit] for unit in units}
    figure = style.page(0.9 + 0.24 * max(len(found) for found in rows.values()))
    for ax, unit, letter in zip(figure.subplots(1, len(units), squeeze=False)[0], units, "ab", strict=False):
        forest(ax, rows[unit])
        ax.set_xlabel("difference (points)" if unit == "points" else "ratio of rounds (binary logarithm)")
        style.panel(ax, letter, unit if unit == "points" else "rounds")
    return figure


def forest(ax: Axes, judged: list[Judgement]) -> None:
    """Intervals from the top down, with the limits of their rules behind them."""
    for height, one in enumerate(reversed(judged)):
        rule = one.claim.holds_if
        for limit in (-rule.limit, rule.limit) if rule.kind == "within" else (rule.limit,):
            ax.plot([limit, limit], [height - 0.4, height + 0.4], color="0.7", linewidth=2, solid_capstyle="butt")
        if one.interval.n > 1:
            marker, face, edge = MARKS.get(one.verdict, UNDECIDED)
            ax.plot([one.interval.low, one.interval.high], [height, height], color=edge)
            ax.plot(one.interval.mean, height, marker=marker, markerfacecolor=face, markeredgecolor=edge, markersize=5)
    ax.axvline(0, color="0.4", linewidth=0.6)
    ax.set_yticks(range(len(judged)), [one.claim.name for one in reversed(judged)])
    ax.grid(axis="y", visible=False)
