"""Symmetric weights chosen for the graph as a whole, to mix as fast as can be. Weights may be negative.

Xiao and Boyd, "Fast linear iterations for distributed averaging", Systems & Control Letters 53, 2004.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
from scipy.linalg import eigh, eigvalsh
from scipy.optimize import minimize
from scipy.sparse import csr_array

from p2pl.mixing._matrices import edge_ends, refuse_directed, refuse_disconnected, symmetric
from p2pl.mixing.metropolis import metropolis
from p2pl.registry import SpecError, mixing

FASTEST_DEVICES = 128
POWERS = 4 ** np.arange(1, 8)

Ends = tuple[np.ndarray, np.ndarray]


@mixing(stochastic="doubly")
def best_constant(graph: nx.Graph[int]) -> csr_array:
    """The best single weight for all edges, 2 / (l_2 + l_max) by the Laplacian's eigenvalues; self weights may be < 0.

    Xiao and Boyd 2004, section 4.1. Raises SpecError on a directed or a disconnected graph.
    """
    refuse_directed(graph, "best_constant")
    refuse_disconnected(graph, "best_constant")
    return _best_constant(graph)


@mixing(stochastic="doubly")
def fastest(graph: nx.Graph[int]) -> csr_array:
    """The symmetric weights of smallest SLEM (Xiao and Boyd 2004), which may be negative; up to 128 devices.

    Their semidefinite program is solved as a limit of smooth ones: the Schatten-2p norm of M = W - 11'/K is minimised
    over the edge weights by L-BFGS, p growing fourfold from 4 to 16,384, from the better of the Metropolis and the
    best constant weights. The result is never worse than these, and within 1 % of the optimum in tests. Raises
    SpecError on a directed or a disconnected graph, or above 128 devices, where it would take minutes.
    """
    refuse_directed(graph, "fastest")
    refuse_disconnected(graph, "fastest")
    devices, ends = len(graph), edge_ends(graph)
    if devices > FASTEST_DEVICES:
        raise SpecError(f"mixing 'fastest' takes up to {FASTEST_DEVICES} devices, not {devices}; try 'best_constant'")
    starts = [rule.toarray()[ends] for rule in (metropolis(graph), _best_constant(graph))]
    best = weights = min(starts, key=lambda start: _slem(start, ends, devices))
    if _slem(best, ends, devices) < 1e-12:  # one device, or all joined to all: averaged in one step already
        return symmetric(devices, ends, best)
    for power in POWERS:
        found = minimize(_log_schatten, weights, args=(ends, devices, int(power)), jac=True, method="L-BFGS-B")
        weights = found.x
        best = min(best, weights, key=lambda tried: _slem(tried, ends, devices))
    return symmetric(devices, ends, best)


def _best_constant(graph: nx.Graph[int]) -> csr_array:
    devices, ends = len(graph), edge_ends(graph)
    laplacian = nx.laplacian_matrix(graph, nodelist=range(devices), weight=None).toarray().astype(float)
    values = eigvalsh(laplacian)
    return symmetric(devices, ends, np.full(len(ends[0]), 2 / (values[1] + values[-1]) if devices > 1 else 0.0))


def _deviation(weights: np.ndarray, ends: Ends, devices: int) -> np.ndarray:
    """M = W - 11'/K, whose eigenvalues are those of W with one 1 replaced by 0."""
    (u, v), diagonal = ends, np.arange(devices)
    matrix = np.full((devices, devices), -1 / devices)
    matrix[u, v] += weights
    matrix[v, u] += weights
    matrix[diagonal, diagonal] += 1 - np.bincount(np.r_[u, v], np.r_[weights, weights], devices)
    return matrix


def _slem(weights: np.ndarray, ends: Ends, devices: int) -> float:
    return float(np.abs(eigvalsh(_deviation(weights, ends, devices))).max())


def _log_schatten(weights: np.ndarray, ends: Ends, devices: int, power: int) -> tuple[float, np.ndarray]:
    """log of (tr M^2p)^(1/2p) and its gradient, -b_e' M^(2p-1) b_e / tr M^2p for b_e = e_u - e_v.

    Eigenvalues are divided by the largest, so that their powers neither overflow nor all vanish.
    """
    values, vectors = eigh(_deviation(weights, ends, devices))
    largest = np.abs(values).max()
    scaled = values / largest
    trace = float((scaled ** (2 * power)).sum())
    differences = vectors[ends[0]] - vectors[ends[1]]
    gradient = -(differences**2 @ scaled ** (2 * power - 1)) / (largest * trace)
    return float(np.log(largest) + np.log(trace) / (2 * power)), gradient
