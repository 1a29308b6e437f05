"""Rules by which a device weighs itself and those it hears, on directed graphs too, from what these tell."""

from __future__ import annotations

import networkx as nx
import numpy as np
from scipy.sparse import csr_array, diags_array, eye_array

from p2pl.mixing._matrices import hearing, row_sums, with_self_weights
from p2pl.registry import Positive, SpecError, mixing


@mixing(stochastic="row")
def p2pl(graph: nx.Graph[int], sizes: np.ndarray, damping: Positive = 1.0) -> csr_array:
    """By data-set size: alpha_kj = damping n_j / (samples of k and all it hears), the rest to itself.

    The papers' singly stochastic weights (Pranav and Moura, arXiv 2310.18861); `damping` is their eps in (0, 1], and 1
    is alpha_kj = n_j / sum for k itself as well. Above 1 devices trust themselves less than that. Raises SpecError
    where a self weight would be negative, or where device and neighbours have no sample at all.
    """
    samples = np.asarray(sizes, dtype=float)
    closed = hearing(graph) + eye_array(len(graph))
    totals = closed @ samples
    if not totals.all():
        empty = int(np.argmin(totals))
        raise SpecError(f"mixing 'p2pl': device {empty} and all it hears have no samples; 'uniform' needs none")
    average = diags_array(1 / totals) @ closed @ diags_array(samples)
    weights = csr_array(damping * average + (1 - damping) * eye_array(len(graph)))
    if damping > 1 and weights.diagonal().min() < 0:
        most = 1 / (1 - average.diagonal().min())
        raise SpecError(f"mixing 'p2pl', damping {damping:g}: a self weight would be negative; at most {most:.3g} here")
    return weights


@mixing(stochastic="row")
def uniform(graph: nx.Graph[int]) -> csr_array:
    """The plain mean of a device and those it hears, 1 / (d_k + 1), blind to data-set sizes."""
    heard = hearing(graph)
    return with_self_weights(csr_array(diags_array(1 / (row_sums(heard) + 1)) @ heard))


@mixing(stochastic="column")
def push_sum(graph: nx.Graph[int]) -> csr_array:
    """Every device sends equal shares, 1 / (listeners + 1), and keeps one: columns sum to 1.

    Kempe, Dobra, Gehrke 2003; stochastic gradient push, Assran et al. 2019, arXiv 1811.10792.
    """
    closed = hearing(graph) + eye_array(len(graph))
    listeners = np.asarray(closed.sum(axis=0), dtype=float)
    return csr_array(closed @ diags_array(1 / listeners))


@mixing(stochastic="doubly")
def prescribed(graph: nx.Graph[int]) -> csr_array:
    """The weights that the graph's own edges carry (one-peer, matchings, Base-(k+1)), the rest to itself.

    Raises SpecError if an edge carries none, or if they are not doubly stochastic: negative, or rows or columns
    above 1 or unequal.
    """
    if any("weight" not in data for _, _, data in graph.edges(data=True)):
        raise SpecError("mixing 'prescribed': this topology's edges carry no weights; 'metropolis' or 'p2pl' make some")
    weights = with_self_weights(hearing(graph, weight="weight"))
    columns = np.asarray(weights.sum(axis=0), dtype=float)
    if (weights.data < -1e-12).any() or not np.allclose(columns, 1, rtol=0, atol=1e-12):
        raise SpecError("mixing 'prescribed': the weights of this topology's edges are not doubly stochastic")
    return weights
