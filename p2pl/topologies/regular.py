"""Graphs in which every device has equally many neighbours."""

from __future__ import annotations

from itertools import chain, combinations

import networkx as nx

from p2pl.registry import Count, SpecError, topology
from p2pl.topologies._build import most_square, nearest_sizes, rectangle_hint, undirected


@topology
def ring(devices: int) -> nx.Graph[int]:
    """Every device hears the one before and the one after it, the last one the first."""
    return _ring(devices)


@topology
def cycle(devices: int) -> nx.Graph[int]:
    """The ring, under the name that graph theory and the papers give it."""
    return _ring(devices)


@topology
def complete(devices: int) -> nx.Graph[int]:
    """Every device hears every other one."""
    return undirected(devices, combinations(range(devices), 2))


@topology
def torus(devices: int, rows: Count | None = None) -> nx.Graph[int]:
    """A grid whose opposite sides are joined: four neighbours each.

    `rows` divides the number of devices; by default the rectangle is as square as can be. Both sides are at least 3,
    else two of the four neighbours would be one. Raises SpecError otherwise.
    """
    sides = most_square(devices) if rows is None else rows
    columns = devices // sides
    if sides * columns != devices or min(sides, columns) < 3:
        asked = f"{devices} devices" if rows is None else f"{devices} devices in {rows} rows"
        raise SpecError(f"there is no torus of {asked}, at least 3 by 3: {rectangle_hint(devices, rows, 3)}")
    rights = ((k, k - k % columns + (k + 1) % columns) for k in range(devices))
    belows = ((k, (k + columns) % devices) for k in range(devices))
    return undirected(devices, chain(rights, belows))


@topology
def hypercube(devices: int) -> nx.Graph[int]:
    """Devices are numbered in binary and hear those whose number differs in one bit.

    Raises SpecError unless the number of devices is a power of 2.
    """
    if not is_power_of_two(devices):
        hint = nearest_sizes(devices, is_power_of_two)
        raise SpecError(f"a hypercube has a power of 2 of devices, not {devices}: {hint}")
    bits = range(devices.bit_length() - 1)
    return undirected(devices, ((k, k ^ (1 << bit)) for k in range(devices) for bit in bits))


def is_power_of_two(number: int) -> bool:
    """Whether `number` is 1, 2, 4, 8, ..."""
    return number & (number - 1) == 0


def _ring(devices: int) -> nx.Graph[int]:
    return undirected(devices, ((k, (k + 1) % devices) for k in range(devices) if devices > 1))
