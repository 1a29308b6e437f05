"""Metropolis-Hastings weights: symmetric, from what two neighbours know of each other."""

from __future__ import annotations

import networkx as nx
import numpy as np
from scipy.sparse import csr_array, eye_array

from p2pl.mixing._matrices import edge_ends, hearing, refuse_directed, row_sums, symmetric
from p2pl.registry import mixing


@mixing(stochastic="doubly")
def metropolis(graph: nx.Graph[int]) -> csr_array:
    """Metropolis-Hastings: 1 / (1 + max(d_k, d_j)) to each neighbour, the rest to itself.

    Xiao, Boyd, Lall 2005. Raises SpecError on a directed graph.
    """
    return _metropolis(graph, "metropolis")


@mixing(stochastic="doubly")
def lazy_metropolis(graph: nx.Graph[int]) -> csr_array:
    """The mean of the identity and the Metropolis weights 1 / (1 + max(d_k, d_j)): no eigenvalue is negative.

    (Not the form 1 / (2 max(d_k, d_j)) of Olshevsky 2014, which is close to it.) Raises SpecError on a directed graph.
    """
    return csr_array((eye_array(len(graph)) + _metropolis(graph, "lazy_metropolis")) / 2)


def _metropolis(graph: nx.Graph[int], rule: str) -> csr_array:
    refuse_directed(graph, rule)
    degrees = row_sums(hearing(graph))
    u, v = edge_ends(graph)
    return symmetric(len(graph), (u, v), 1 / (1 + np.maximum(degrees[u], degrees[v])))
