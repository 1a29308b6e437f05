"""Effects side by side: a row for each, the seeds as small marks, the mean with its 95 % interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from p2pl.effects import Effect, Measured
from p2pl.stats import t_interval
from paper_figures.style import Look, words

BOUNDS = {-1: "<", 1: ">"}  # where the true value lies, of one that is only a bound


def effects(table: pd.DataFrame, wanted: Mapping[str, Effect]) -> dict[str, Measured]:
    """Every effect, measured."""
    return {label: effect.measure(table) for label, effect in wanted.items()}


def dots(ax: Axes, rows: Mapping[str, Measured], look: Look, shift: float = 0.0) -> None:
    """One series: the n-th effect at height n + shift. Seeds of which only a bound is known point to where they lie.

    A mean over bounds is open and has no interval; where of some seed nothing is known, there is none.
    """
    for height, (values, bound, unknown) in enumerate(rows.values()):
        y = height + shift
        for side, marker in {0: look.marker, **BOUNDS}.items():
            some = values[bound == side]
            ax.plot(some, [y - 0.07] * len(some), marker, color=look.color, markersize=2, alpha=0.5, linestyle="none")
        if unknown or not len(values):
            said = f" {len(values)} of {len(values) + unknown} seeds" if len(values) else " not reached"
            ax.text(0, y, said, color=look.color, va="center", fontsize=6)
        elif len(values) > 1:
            mean, low, high, _ = t_interval(values)
            exact = bool((bound == 0).all())
            if exact:
                ax.plot([low, high], [y, y], color=look.color)
            face, edge = (look.color, "white") if exact else ("white", look.color)
            ax.plot(mean, y, look.marker, color=look.color, markersize=4, markerfacecolor=face, markeredgecolor=edge)


def label_rows(ax: Axes, labels: Sequence[str], visible: bool = True) -> None:
    """Names of the rows, first on top, with a line at 0."""
    ax.set_yticks(range(len(labels)), [words(label) for label in labels] if visible else [""] * len(labels))
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.axvline(0, color="0.4", linewidth=0.6)
    ax.tick_params(axis="y", length=0)
