"""What a graph and its weights say about mixing, before anything is trained. float64, dense, K up to a few thousand.

SLEM, the second-largest eigenvalue modulus, is the factor by which disagreement shrinks a step, in the long run.
The stationary weights pi say how much each device's model counts in what all agree on: W^t -> 1 pi'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import networkx as nx
import numpy as np
from scipy.sparse import csr_array, eye_array, sparray
from scipy.sparse.csgraph import connected_components, shortest_path

from p2pl.mixing._matrices import hearing
from p2pl.network import Network
from p2pl.registry import Component, SpecError, mixing

Matrix: TypeAlias = np.ndarray | sparray

SOURCES = 256  # devices whose distances to all others are in memory at a time
FLOODED = 64  # steps of a flood after which a static graph's distances are found in less time: it has few links


def _dense(weights: Matrix) -> np.ndarray:
    return np.asarray(weights.toarray() if isinstance(weights, sparray) else weights, dtype=float)


def slem(weights: Matrix) -> float:
    """The second-largest eigenvalue modulus of a (K, K) row- or column-stochastic matrix: max |lambda| but for one 1.

    For a period of a time-varying graph, that of the product (`period_matrix`): the factor of a whole period.
    """
    matrix = _dense(weights)
    symmetric = np.array_equal(matrix, matrix.T)
    values = np.linalg.eigvalsh(matrix) if symmetric else np.linalg.eigvals(matrix)
    others = np.delete(values, np.argmin(np.abs(values - 1)))
    return float(np.abs(others).max(initial=0.0))


def stationary(weights: Matrix) -> np.ndarray:
    """The left Perron vector pi of a (K, K) row-stochastic W: pi' W = pi', sum 1. (K,)

    Solves (I - W' + 11') pi = 1, which has one solution unless two groups each listen to nobody outside; raises
    SpecError if so.
    For the right Perron vector of a column-stochastic matrix, give its transpose.
    """
    matrix = _dense(weights)
    groups, group = connected_components(csr_array(matrix), connection="strong")
    listener, heard = matrix.nonzero()
    listens_outside = set(group[listener[group[listener] != group[heard]]])
    if groups - len(listens_outside) > 1:
        raise SpecError("these weights leave devices apart: there is more than one stationary distribution")
    devices = len(matrix)
    return np.asarray(np.linalg.solve(np.eye(devices) - matrix.T + 1, np.ones(devices)))


def p2pl_stationary(graph: nx.Graph[int], sizes: np.ndarray) -> np.ndarray:
    """The stationary weights of the P2PL rule on a connected undirected graph, in closed form. (K,)

    pi_k is proportional to n_k sum of n_j over k and its neighbours: n_k alpha-total_k W[k, j] = n_k n_j is symmetric
    (detailed balance), whatever the damping. Raises SpecError on a directed graph, where there is no such form.
    """
    if graph.is_directed():
        raise SpecError("the closed form of the P2PL stationary weights needs an undirected graph; use `stationary`")
    samples = np.asarray(sizes, dtype=float)
    mass = samples * ((hearing(graph) + eye_array(len(graph))) @ samples)
    return np.asarray(mass / mass.sum())


def period_matrix(
    network: Network, rule: str | Mapping[str, Any] | Component, sizes: np.ndarray, start: int = 0
) -> np.ndarray:
    """The product W_{start+T-1} ... W_{start} of one period of T steps; for a static graph W itself. (K, K) dense

    Raises SpecError for a graph drawn anew at each step, which has no period.
    """
    if network.period is None:
        raise SpecError(f"topology '{network.name}' is drawn anew at each step and has no period")
    product = np.eye(network.devices)
    for step in range(start, start + network.period):
        product = mixing.call(rule, graph=network.at(step), sizes=sizes) @ product
    return product


def diameter(graph: nx.Graph[int]) -> int:
    """The largest number of hops from one device to another; 0 for one device.

    Raises SpecError if the graph is not (strongly) connected.
    """
    heard, starts = csr_array(hearing(graph)), range(0, len(graph), SOURCES)
    some = (np.arange(start, min(start + SOURCES, len(graph))) for start in starts)
    hops = max(shortest_path(heard, method="D", unweighted=True, indices=few).max() for few in some)
    if not np.isfinite(hops):
        raise SpecError("the graph is not connected: it has no diameter")
    return int(hops)


def flooding_time(network: Network, start: int = 0) -> int:
    """The mixing steps from `start` on after which every device has heard, through others, of every other.

    The diameter on a static graph; on a time-varying one the number of rounds that max norm synchronization needs.
    Raises SpecError if 10 K + 100 steps do not do it.
    """
    # Bits of 64-bit words, one for each device that a device has heard of: each takes over those of whom it hears.
    devices, bits = network.devices, -(-network.devices // 64) * 64
    informed = np.packbits(np.eye(devices, bits, dtype=bool), axis=1).view(np.uint64)
    everybody = np.packbits(np.arange(bits) < devices).view(np.uint64)
    graph, heard = None, csr_array((0, 0))
    for steps in range(limit := 10 * devices + 100):
        if (informed == everybody).all():
            return steps
        if network.static and steps == FLOODED:
            return diameter(network.at(0))
        if (now := network.at(start + steps)) is not graph:
            graph, heard = now, csr_array(hearing(now) + eye_array(devices))
        informed = np.bitwise_or.reduceat(informed[heard.indices], heard.indptr[:-1], axis=0)
    raise SpecError(f"on topology '{network.name}' some devices have not heard of each other after {limit} steps")
