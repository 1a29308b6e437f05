"""From graphs to sparse matrices, shared by the rules."""

from __future__ import annotations

import networkx as nx
import numpy as np
from scipy.sparse import csr_array, diags_array

from p2pl.registry import SpecError


def hearing(graph: nx.Graph[int], weight: str | None = None) -> csr_array:
    """The (K, K) matrix with 1 (or the edge attribute `weight`) at [k, j] where device k hears device j."""
    float64 = np.dtype(np.float64)
    matrix = nx.to_scipy_sparse_array(graph, nodelist=range(len(graph)), weight=weight, dtype=float64, format="csr")
    return csr_array(matrix.T) if graph.is_directed() else csr_array(matrix)


def row_sums(matrix: csr_array) -> np.ndarray:
    """The (K,) sums of the rows."""
    return np.asarray(matrix.sum(axis=1), dtype=float)


def with_self_weights(off_diagonal: csr_array) -> csr_array:
    """The matrix whose diagonal is what the rows lack of 1."""
    return csr_array(off_diagonal + diags_array(1 - row_sums(off_diagonal)))


def refuse_directed(graph: nx.Graph[int], rule: str) -> None:
    """Raises SpecError for a directed graph, on which there are no symmetric weights."""
    if graph.is_directed():
        raise SpecError(
            f"mixing '{rule}' has symmetric weights and needs an undirected graph; on a directed one take 'p2pl' or "
            "'uniform' (row-stochastic), 'push_sum' (column-stochastic) or 'prescribed' where the graph has weights"
        )


def refuse_disconnected(graph: nx.Graph[int], rule: str) -> None:
    """Raises SpecError for a graph in several parts, on which no weights mix better than others."""
    if not nx.is_connected(graph):
        raise SpecError(
            f"mixing '{rule}' needs every graph connected, and at some step of this one devices are apart; take "
            "'metropolis', or 'prescribed' where the graph has weights"
        )


def edge_ends(graph: nx.Graph[int]) -> tuple[np.ndarray, np.ndarray]:
    """The two (E,) arrays of the devices at either end of every undirected edge."""
    ends = np.array(graph.edges, dtype=int).reshape(-1, 2)
    return ends[:, 0], ends[:, 1]


def symmetric(devices: int, ends: tuple[np.ndarray, np.ndarray], weights: np.ndarray) -> csr_array:
    """The symmetric matrix with the (E,) `weights` on the edges and the remainders on the diagonal."""
    u, v = ends
    pairs = (np.r_[weights, weights], (np.r_[u, v], np.r_[v, u]))
    return with_self_weights(csr_array(pairs, shape=(devices, devices)))
