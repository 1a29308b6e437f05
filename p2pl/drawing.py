"""Graphs on paper: a node's area and colour say how much its device counts in what all agree on.

Through matplotlib's objects only, so that no display and no global figure is touched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from p2pl.network import Network

COLOURS = ListedColormap(colormaps["YlGnBu"](np.linspace(0.15, 1, 256)))  # without what fades into the paper
STEPS_SHOWN = 4
LABELLED = 24  # graphs of at most this many devices show their numbers
PANEL = 3.6  # inches


def draw_network(network: Network, stationary: np.ndarray | None, path: str | Path) -> None:
    """Draw a network to a file, PDF or PNG by its suffix; a time-varying one by its first steps, side by side.

    stationary: (K,) weights that sum to 1, or None for equal ones. The same network gives the same bytes.
    """
    shown = min(network.period or STEPS_SHOWN, STEPS_SHOWN)
    graphs = [network.at(step) for step in range(shown)]
    figure = Figure(figsize=(PANEL * shown + 0.7, PANEL), layout="constrained")
    axes = figure.subplots(1, shown, squeeze=False)[0]
    places = layout(graphs[0]) if network.static else circle(network.devices)
    for step, (graph, ax) in enumerate(zip(graphs, axes, strict=True)):
        nodes = draw_graph(graph, stationary, ax, places)
        if not network.static:
            of = f" of {network.period}" if network.period else ""
            ax.set_title(f"step {step + 1}{of}", fontsize=10)
    if len(set(np.asarray(nodes.get_array()))) > 1:
        bar = figure.colorbar(nodes, ax=list(axes), fraction=0.05, aspect=25)
        bar.set_label(r"stationary weight $\times$ K", fontsize=9)
        bar.ax.tick_params(labelsize=8)
        bar.outline.set_linewidth(0.4)
    figure.savefig(path, dpi=200, metadata={"CreationDate": None} if Path(path).suffix == ".pdf" else None)


def draw_graph(
    graph: nx.Graph[int], stationary: np.ndarray | None, ax: Axes, places: np.ndarray | None = None
) -> PathCollection:
    """Draw one graph into `ax`; returns the nodes, which a colour bar can be made of.

    stationary: (K,) weights that sum to 1, or None for equal ones. places: (K, 2), by default `layout(graph)`.
    In a directed graph the arrow points to the device that hears.
    """
    devices = len(graph)
    weights = np.ones(devices) if stationary is None else np.asarray(stationary) * devices
    weights = np.where(np.abs(weights - 1) < 1e-6, 1, weights)  # rounding is no difference
    points = layout(graph) if places is None else places
    # Neighbours on a circle of 550 points do not touch if they are of equal weight.
    areas = np.pi / 4 * min(16.0, 550 / devices) ** 2 * np.maximum(weights, 0.02)
    if isinstance(graph, nx.DiGraph):
        _draw_arrows(graph, points, areas, ax)
    else:
        _draw_lines(graph, points, ax)
    norm = Normalize(weights.min(), weights.max())
    nodes = ax.scatter(points[:, 0], points[:, 1], s=areas, c=weights, cmap=COLOURS, norm=norm, zorder=2)
    nodes.set(edgecolor="0.15", linewidth=0.6)
    if devices <= LABELLED:
        _label(points, norm(weights), ax)
    ax.set_aspect("equal")
    ax.margins(0.12)
    ax.set_axis_off()
    return nodes


def layout(graph: nx.Graph[int]) -> np.ndarray:
    """Places of the devices: where they are, on a circle, or by their distances on the graph. (K, 2)

    `pos` if the nodes carry it; a circle for what is directed, looks the same from each device in turn, or has no
    more than two neighbours anywhere; otherwise Kamada and Kawai 1989.
    """
    devices = len(graph)
    if devices > 1 and all("pos" in data for _, data in graph.nodes(data=True)):
        return np.array([graph.nodes[k]["pos"] for k in range(devices)], dtype=float)
    circulant = all(graph.has_edge((u + 1) % devices, (v + 1) % devices) for u, v in graph.edges)
    if graph.is_directed() or circulant or max(degree for _, degree in graph.degree) <= 2:
        return circle(devices)
    found = nx.kamada_kawai_layout(graph, pos=dict(enumerate(circle(devices))), weight=None)
    return np.array([found[k] for k in range(devices)])


def circle(devices: int) -> np.ndarray:
    """Equally spaced places on the unit circle, clockwise from the top. (K, 2)"""
    angles = 2 * np.pi * np.arange(devices) / devices
    return np.column_stack([np.sin(angles), np.cos(angles)])


def _draw_lines(graph: nx.Graph[int], points: np.ndarray, ax: Axes) -> None:
    ends = [points[list(edge)] for edge in graph.edges]
    # Thinner and paler the more there are: a complete graph stays a texture and not a blot.
    crowd = graph.number_of_edges() / len(graph)
    width = 1.1 if len(graph) <= 40 else 0.6 if crowd < 6 else 0.4
    lines = LineCollection(ends, colors="0.4", linewidths=width, alpha=min(0.8, 4 / max(crowd, 1)), zorder=1)
    ax.add_collection(lines)


def _draw_arrows(graph: nx.DiGraph[int], points: np.ndarray, areas: np.ndarray, ax: Axes) -> None:
    radii = np.sqrt(areas / np.pi)
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7, "color": "0.35", "linewidth": 0.7, "zorder": 1}
    for u, v in graph.edges:
        ends: dict[str, Any] = {"posA": points[u], "posB": points[v], "shrinkA": radii[u], "shrinkB": radii[v] + 0.5}
        arrow = FancyArrowPatch(**ends, **style, connectionstyle="arc3,rad=0.12")
        arrow.set_in_layout(False)  # arrows stay among the nodes, and measuring each takes long
        ax.add_patch(arrow)


def _label(points: np.ndarray, shades: np.ndarray, ax: Axes) -> None:
    for k, (x, y) in enumerate(points):
        ax.text(x, y, str(k), ha="center", va="center", fontsize=6.5, color="white" if shades[k] > 0.6 else "black")
