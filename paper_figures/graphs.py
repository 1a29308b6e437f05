"""Graphs small enough to stand in a row above the curves that they explain."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from p2pl.drawing import layout
from p2pl.graph import Facts


def draw_graph(ax: Axes, facts: Facts, color: str, title: str, said: str) -> None:
    """The first graph of a network, with a title above it and what there is to say below."""
    places = layout(facts.network.at(0))
    lines = [places[list(edge)] for edge in facts.edges]
    crowd = len(lines) / len(places)
    ax.add_collection(LineCollection(lines, colors="0.5", linewidths=0.6, alpha=min(0.9, 4 / crowd), zorder=1))
    ax.scatter(places[:, 0], places[:, 1], s=min(9, 300 / len(places)), color=color, zorder=2, clip_on=False)
    ax.set_title(title, color=color, loc="center")
    ax.annotate(said, (0.5, -0.04), xycoords="axes fraction", ha="center", va="top")
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_box_aspect(1)  # graphs of any outline stand in one row
    ax.set_axis_off()
