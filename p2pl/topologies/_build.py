"""Graphs from edges, and what to say when no graph of a kind has the wanted number of devices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import networkx as nx

Edges = Iterable[tuple[int, int]]


def undirected(devices: int, edges: Edges, **attributes: Any) -> nx.Graph[int]:
    """The graph with all of 0..devices-1 as nodes, in order, and these edges, which share `attributes`."""
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(devices))
    graph.add_edges_from(edges, **attributes)
    return graph


def directed(devices: int, edges: Edges, **attributes: Any) -> nx.DiGraph[int]:
    """The same for edges (u, v) by which v hears u."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(devices))
    graph.add_edges_from(edges, **attributes)
    return graph


def nearest_sizes(devices: int, fits: Callable[[int], bool]) -> str:
    """The closest numbers of devices on either side for which `fits` holds, as the end of an error message."""
    below = next((size for size in range(devices - 1, 0, -1) if fits(size)), None)
    above = next(size for size in count(devices + 1) if fits(size))
    return f"{above} devices would do" if below is None else f"{below} or {above} devices would do"


def rectangle_hint(devices: int, rows: int | None, side: int) -> str:
    """What would do in place of `devices` (in `rows` rows, if given) for a rectangle of sides >= `side`."""
    if rows is None:
        return nearest_sizes(devices, lambda size: most_square(size) >= side)
    if rows < side:
        return f"{side} rows or more would do"
    return nearest_sizes(devices, lambda size: size % rows == 0 and size >= side * rows)


def most_square(devices: int) -> int:
    """The largest divisor of `devices` that is at most its square root: the rows of the squarest rectangle."""
    return max(rows for rows in range(1, int(devices**0.5) + 1) if devices % rows == 0)
