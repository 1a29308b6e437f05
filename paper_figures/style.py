"""What the figures share: page sizes, looks that survive black and white, curves with bands, names in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.style
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from p2pl.stats import band

WIDTH = 6.9  # inches: the text width of a page with two columns

# Okabe and Ito (2008): eight colours that remain apart for the colour-blind; yellow is too pale for a line.
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY = "#888888"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (4, 1.2, 1, 1.2)), (0, (1.2, 1)), (0, (7, 1.5, 1, 1, 1, 1.5)))
MARKERS = "osD^vPX<>"

TICKS = (0, 50, 70, 80, 85, 90, 93, 95, 97, 98, 99, 99.5, 99.8)  # of accuracy, in per cent
FINEST = 0.05  # points of error: what an axis of accuracy shows at most

NAMES = {
    "erdos_renyi": "Erdős–Rényi",
    "fedavg": "FedAvg",
    "dgd": "DGD",
    "dsgd": "DSGD",
    "p2pl": "P2PL",
    "iid": "IID",
    "metropolis": "Metropolis",
    "dirichlet": "Dirichlet",
}


class Look(NamedTuple):
    """Colour, line style and marker: each alone tells curves apart."""

    color: str
    linestyle: Any
    marker: str


@contextmanager
def paper() -> Iterator[None]:
    """Within it, paper.mplstyle holds and nothing else does, whatever style the reader prefers elsewhere."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.style.use(Path(__file__).parent / "paper.mplstyle")
        yield


def looks(names: Sequence[Any], given: Mapping[Any, Look] | None = None) -> dict[Any, Look]:
    """A look for each name, those `given` first; equal names get equal looks in all panels of a figure."""
    free = zip(cycle(COLOURS), cycle(LINES), cycle(MARKERS), strict=False)
    return {name: (given or {}).get(name) or Look(*next(free)) for name in names}


def ordered_looks(values: Sequence[Any]) -> dict[Any, Look]:
    """Looks for values of a quantity, from dark to light in their order."""
    shades = seaborn.color_palette("viridis", len(values)).as_hex()
    rest = zip(cycle(LINES), cycle(MARKERS), strict=False)
    return {value: Look(shade, *next(rest)) for value, shade in zip(values, shades, strict=True)}


def page(height: float) -> Figure:
    """An empty figure of full text width, height in inches."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def words(label: Any) -> str:
    """A label of the results in words: `random_geometric(radius=0.3)` becomes `random geometric, radius = 0.3`."""
    if isinstance(label, float):
        return f"{label:g}"
    name, options = re.fullmatch(r"([^(]*)(?:\((.*)\))?", str(label), re.DOTALL).groups()  # type: ignore[union-attr]
    said = [NAMES.get(name, name.replace("_", " "))]
    said += [option.replace("=", " = ").replace("_", " ") for option in (options or "").split(", ") if option]
    return ", ".join(said)


def unique(table: pd.DataFrame, column: str) -> list[Any]:
    """The values of a column in their order of appearance, which is that of the table of experiments."""
    return list(table[column].unique())


def draw_band(ax: Axes, points: pd.DataFrame, look: Look, x: str = "round", scale: float = 100) -> None:
    """One curve of `p2pl.stats.band`: mean and interval, times scale (fractions become per cent)."""
    step = max(1, len(points) // 6)
    first = MARKERS.find(look.marker) % step  # curves that coincide still show their markers side by side
    ax.plot(points[x], scale * points["mean"], **look._asdict(), markevery=(first, step), markeredgecolor="white")
    known = points.dropna(subset=["low"])
    ax.fill_between(known[x], scale * known["low"], scale * known["high"], color=look.color, alpha=0.18, linewidth=0)


def curves(ax: Axes, table: pd.DataFrame, by: str, value: str, styles: Mapping[Any, Look], x: str = "round") -> None:
    """A curve with its band for each value of `by`.

    Where x is not the round, a point stands at the mean of x over the seeds at its round.
    """
    points = band(table, [by], value)
    if x == "round":
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    else:
        points = points.merge(table.groupby([by, "round"], dropna=False)[x].mean().reset_index())
    for name, look in styles.items():
        draw_band(ax, points[points[by] == name], look, x)


def accuracy_axis(axes: Iterable[Axes]) -> None:
    """One vertical axis of per cent for several panels, logarithmic in the error: near the top a point counts more.

    From 0 to a little above the highest mean; wide bands do not stretch it.
    """
    panels = list(axes)
    heights = [np.asarray(line.get_ydata(), dtype=np.float64) for ax in panels for line in ax.get_lines()]
    best = max(float(height.max(initial=0)) for height in heights)
    top = 100 - max(0.8 * (100 - best), FINEST)
    ticks = TICKS if top > 70 else range(0, 70, 10)
    for ax in panels:
        ax.set_yscale("function", functions=(_nines, _per_cent))
        ax.set_yticks([tick for tick in ticks if tick <= top])
        ax.set_ylim(0, top)


def _nines(accuracy: np.ndarray) -> np.ndarray:
    return np.asarray(-np.log10(np.maximum(100 - accuracy, FINEST)))


def _per_cent(nines: np.ndarray) -> np.ndarray:
    return np.asarray(100 - 10.0**-nines)


def legend(
    figure: FigureBase,
    styles: Mapping[Any, Look],
    title: str | None = None,
    columns: int = 4,
    names: Mapping[Any, str] | None = None,
) -> None:
    """One legend below all panels. names: what stands there for each, if not its words."""
    lines = [Line2D([], [], **look._asdict(), markeredgecolor="white") for look in styles.values()]
    said = [(names or {}).get(name) or words(name) for name in styles]
    figure.legend(lines, said, title=title, loc="outside lower center", ncols=min(columns, len(lines)))


def panel(ax: Axes, letter: str, title: str) -> None:
    """A panel's letter and title."""
    ax.set_title(rf"$\bf{{{letter}}}$  {title}")


REFERENCES = {  # what peer-to-peer learning is compared with looks the same in all figures
    "FedAvg": Look(BLACK, "-", "*"),
    "centralized": Look(BLACK, (0, (1, 1.5)), "None"),
    "isolated": Look(GREY, (0, (5, 1.5)), "None"),
}
