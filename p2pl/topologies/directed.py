"""Directed graphs: an edge (u, v) says that v hears u. Their edges carry the weights of the papers that use them."""

from __future__ import annotations

from itertools import chain

import networkx as nx
import numpy as np

from p2pl.registry import Count, Probability, SpecError, topology
from p2pl.topologies._build import directed


@topology
def directed_ring(devices: int) -> nx.DiGraph[int]:
    """Every device hears the one before it, with weights 1/2 and 1/2."""
    return circulant(devices, [1])


@topology
def exponential(devices: int) -> nx.DiGraph[int]:
    """Device k is heard by k + 1, k + 2, k + 4, k + 8, ... (modulo the number of devices).

    The static exponential graph, with equal weights (Ying et al. 2021, arXiv 2110.13363).
    """
    return circulant(devices, [1 << bit for bit in range((devices - 1).bit_length())])


@topology
def chorded_ring(devices: int, jump: Count = 3, every: Count = 2) -> nx.DiGraph[int]:
    """A directed ring in which each `every`-th device is also heard by the one `jump` further on: not regular.

    Devices with more listeners than others are what makes push-sum worth its weights: on regular digraphs its weights
    never leave 1. (every: 1 gives a regular digraph.) Raises SpecError if the jump ends at the device or its successor.
    """
    if jump % devices in (0, 1 % devices):
        raise SpecError(
            f"chorded_ring: a jump of {jump} among {devices} devices ends at the device itself or at its successor; "
            + (f"a jump from 2 to {devices - 1} would do" if devices > 2 else "3 devices or more would do")
        )
    ring = ((k, (k + 1) % devices) for k in range(devices))
    chords = ((k, (k + jump) % devices) for k in range(0, devices, every))
    return directed(devices, chain(ring, chords))


@topology
def random_digraph(devices: int, rng: np.random.Generator, p: Probability | None = None) -> nx.DiGraph[int]:
    """Every device hears every other one with probability p, independently, so that links may be one-way.

    By default p = 2 ln(K) / K, twice the threshold above which large digraphs are strongly connected.
    """
    chance = min(1.0, 2 * np.log(devices) / devices) if p is None else p
    heard = rng.random((devices, devices)) < chance
    np.fill_diagonal(heard, False)
    return directed(devices, ((int(u), int(v)) for u, v in np.argwhere(heard)))


def circulant(devices: int, jumps: list[int]) -> nx.DiGraph[int]:
    """Every device k is heard by k + jump for each of `jumps` (distinct, below `devices`), all with equal weights."""
    reached = [jump for jump in jumps if jump % devices]
    edges = ((k, (k + jump) % devices) for jump in reached for k in range(devices))
    return directed(devices, edges, weight=1 / (len(reached) + 1))
