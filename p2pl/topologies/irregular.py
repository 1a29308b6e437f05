"""Graphs in which some devices have more neighbours than others, drawn by no chance."""

from __future__ import annotations

from itertools import chain, combinations

import networkx as nx

from p2pl.registry import Count, Natural, SpecError, topology
from p2pl.topologies._build import most_square, rectangle_hint, undirected


@topology
def path(devices: int) -> nx.Graph[int]:
    """Devices in a row, each hearing the one before and the one after it."""
    return undirected(devices, ((k, k + 1) for k in range(devices - 1)))


@topology
def star(devices: int, hub: Natural = 0) -> nx.Graph[int]:
    """One hub joined to every other device; the others hear the hub only."""
    if hub >= devices:
        raise SpecError(f"a star of {devices} devices has no device {hub}; the hub is one of 0..{devices - 1}")
    return undirected(devices, ((hub, k) for k in range(devices) if k != hub))


@topology
def grid(devices: int, rows: Count | None = None) -> nx.Graph[int]:
    """Devices on a rectangle, each hearing those above, below, left and right of it.

    `rows` divides the number of devices; by default the rectangle is as square as can be. Both sides are at least 2,
    for otherwise it is a path. Raises SpecError if they cannot be.
    """
    height = most_square(devices) if rows is None else rows
    width = devices // height
    if height * width != devices or min(height, width) < 2:
        asked = f"{devices} devices" if rows is None else f"{devices} devices in {rows} rows"
        raise SpecError(f"there is no grid of {asked}, at least 2 by 2: {rectangle_hint(devices, rows, 2)}")
    rights = ((k, k + 1) for k in range(devices) if (k + 1) % width)
    belows = ((k, k + width) for k in range(devices - width))
    graph = undirected(devices, chain(rights, belows))
    nx.set_node_attributes(graph, {k: (k % width, -(k // width)) for k in graph}, "pos")
    return graph


@topology
def binary_tree(devices: int) -> nx.Graph[int]:
    """Device k's parent is (k - 1) // 2: a balanced binary tree whose last level may be partly filled."""
    return undirected(devices, (((k - 1) // 2, k) for k in range(1, devices)))


@topology
def thick_path(devices: int, diameter: Count = 4) -> nx.Graph[int]:
    """A deterministic graph of chosen diameter, from the complete graph (1) to the path (devices - 1).

    The devices stand in diameter + 1 layers of equal size (up to one); each hears all of its own layer and of the
    layers next to it. Raises SpecError if there are fewer devices than layers.
    """
    layers = diameter + 1
    if devices < layers:
        raise SpecError(f"{devices} devices have no graph of diameter {diameter}: {layers} devices or more do")
    layer = [k * layers // devices for k in range(devices)]
    return undirected(devices, ((u, v) for u, v in combinations(range(devices), 2) if layer[v] - layer[u] <= 1))


@topology
def davis(devices: int) -> nx.Graph[int]:
    """The Davis Southern Women network: 18 women and the 14 social events that they attended, 32 devices.

    A. Davis, B. B. Gardner, M. R. Gardner, Deep South, 1941. Raises SpecError for any other number of devices.
    """
    if devices != 32:
        raise SpecError(f"the Davis network has 32 devices, not {devices}")
    people = nx.davis_southern_women_graph()
    number = {name: k for k, name in enumerate(sorted(people))}
    return undirected(devices, ((number[u], number[v]) for u, v in people.edges))
