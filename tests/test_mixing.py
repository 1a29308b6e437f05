"""Laws of every registered mixing rule on every registered topology; then each rule against its formula."""

from __future__ import annotations

from functools import cache

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.sparse import csr_array

from p2pl.network import Network
from p2pl.registry import SpecError, mixing, topology
from p2pl.spectrum import slem

SYMMETRIC = {"metropolis", "lazy_metropolis", "best_constant", "fastest"}  # refused on digraphs
MAY_BE_NEGATIVE = {"best_constant", "fastest"}  # and refused on disconnected graphs
REFUSALS = r"undirected graph|graph connected|carry no weights"
every_rule = pytest.mark.parametrize("rule", mixing.entries)


@cache
def graphs() -> tuple[nx.Graph, ...]:
    """Every registered topology at a few sizes, and the first steps of those that vary in time."""
    found = []
    for name in topology.entries:
        for devices in (1, 2, 8, 9, 32) if name == "davis" else (1, 2, 8, 9):
            try:
                network = Network(name, devices, seed=3)
            except SpecError:
                continue
            found += [network.at(step) for step in range(min(network.period or 3, 3))]
    return tuple(found)


def weigh(rule, graph: nx.Graph, sizes=None, **options) -> np.ndarray:
    """W as a dense array, after the checks that every rule owes."""
    sizes = np.arange(len(graph)) % 5 + 1 if sizes is None else np.asarray(sizes)
    matrix = mixing.call({"name": rule, **options}, graph=graph, sizes=sizes)
    assert isinstance(matrix, csr_array)
    assert matrix.dtype == np.float64
    return matrix.toarray()


def refused(rule: str, graph: nx.Graph) -> bool:
    if rule == "prescribed":
        return any("weight" not in data for *_, data in graph.edges(data=True))
    apart = rule in MAY_BE_NEGATIVE and not graph.is_directed() and not nx.is_connected(graph)
    return apart or (rule in SYMMETRIC and graph.is_directed())


def equal(devices: int) -> np.ndarray:
    return np.full(devices, 7)


@every_rule
def test_every_rule_keeps_its_promises_on_every_topology(rule):
    stochastic = mixing.entries[rule].traits["stochastic"]
    for graph in graphs():
        if refused(rule, graph):
            with pytest.raises(SpecError, match=REFUSALS) as refusal:
                weigh(rule, graph)
            assert rule in str(refusal.value)
            continue
        weights = weigh(rule, graph)
        axes = {"row": [1], "column": [0], "doubly": [0, 1]}[stochastic]
        for axis in axes:
            np.testing.assert_allclose(weights.sum(axis=axis), 1, rtol=0, atol=1e-14)
        if rule not in MAY_BE_NEGATIVE:
            assert weights.min() >= 0
        if stochastic == "doubly" and not graph.is_directed():
            assert np.array_equal(weights, weights.T)
        heard = {(v, u) for u, v in graph.edges} | ({*graph.edges} if not graph.is_directed() else set())
        used = {(int(k), int(j)) for k, j in np.argwhere(weights) if k != j}
        assert used == heard if rule not in MAY_BE_NEGATIVE else used <= heard


@st.composite
def connected_graphs(draw, largest: int = 12) -> nx.Graph:
    devices = draw(st.integers(2, largest))
    pairs = list(nx.complete_graph(devices).edges)
    tree = [(draw(st.integers(0, k - 1)), k) for k in range(1, devices)]
    return nx.Graph([*tree, *draw(st.lists(st.sampled_from(pairs)))])


@given(connected_graphs(), st.data())
@settings(deadline=None, max_examples=60)
def test_p2pl_weights_are_data_shares_of_the_closed_neighbourhood(graph, data):
    sizes = data.draw(st.lists(st.integers(1, 10_000), min_size=len(graph), max_size=len(graph)))
    damping = data.draw(st.floats(1e-3, 1))
    weights = weigh("p2pl", graph, sizes, damping=damping)
    plain = weigh("p2pl", graph, sizes)
    for k in graph:
        closed = [k, *graph[k]]
        for j in graph:
            share = sizes[j] / sum(sizes[i] for i in closed) if j in closed else 0
            assert plain[k, j] == pytest.approx(share, abs=1e-15)
            assert weights[k, j] == pytest.approx(damping * share + (1 - damping) * (j == k), abs=1e-15)


def test_devices_without_samples_are_not_listened_to():
    weights = weigh("p2pl", nx.path_graph(3), [0, 4, 12])
    np.testing.assert_allclose(weights, [[0, 1, 0], [0, 0.25, 0.75], [0, 0.25, 0.75]])
    with pytest.raises(SpecError, match="device 0 and all it hears have no samples"):
        weigh("p2pl", nx.path_graph(3), [0, 0, 12])


@pytest.mark.parametrize("damping", [0.0, 1.6, -0.1, True])
def test_damping_out_of_range_is_refused(damping):
    with pytest.raises(SpecError, match="damping"):
        weigh("p2pl", nx.path_graph(3), damping=damping)


def test_with_equal_sizes_p2pl_is_metropolis_on_regular_graphs_only():
    regular = [graph for graph in graphs() if not graph.is_directed() and nx.is_regular(graph)]
    assert len(regular) > 20
    for graph in regular:
        np.testing.assert_allclose(weigh("p2pl", graph, equal(len(graph))), weigh("metropolis", graph), atol=1e-15)
    star = nx.star_graph(5)
    assert not np.allclose(weigh("p2pl", star, equal(6)), weigh("metropolis", star))


@given(connected_graphs())
@settings(deadline=None, max_examples=40)
def test_rules_that_know_only_degrees(graph):
    degree = dict(graph.degree)
    uniform, metropolis = weigh("uniform", graph), weigh("metropolis", graph)
    shares = weigh("push_sum", graph)
    for k, j in graph.edges:
        assert uniform[k, j] == pytest.approx(1 / (1 + degree[k]))
        assert shares[k, j] == pytest.approx(1 / (1 + degree[j]))
        assert metropolis[k, j] == pytest.approx(1 / (1 + max(degree[k], degree[j])))
    np.testing.assert_allclose(weigh("lazy_metropolis", graph), (np.eye(len(graph)) + metropolis) / 2, atol=1e-15)
    assert np.linalg.eigvalsh(weigh("lazy_metropolis", graph)).min() >= -1e-15
    np.testing.assert_allclose(weigh("p2pl", graph, equal(len(graph))), uniform, atol=1e-15)


def test_on_digraphs_devices_average_over_those_they_hear_and_share_with_those_who_listen():
    graph = nx.DiGraph([(0, 1), (1, 2), (2, 0), (0, 2)])  # 2 hears 0 and 1; 0 is heard by 1 and 2
    np.testing.assert_allclose(weigh("p2pl", graph, [1, 2, 3])[2], [1 / 6, 2 / 6, 3 / 6])
    np.testing.assert_allclose(weigh("uniform", graph)[2], [1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(weigh("push_sum", graph)[:, 0], [1 / 3, 1 / 3, 1 / 3])


@pytest.mark.parametrize("weight", [0.7, -0.2])
def test_prescribed_weights_that_are_not_doubly_stochastic_are_refused(weight):
    graph = nx.path_graph(3)
    nx.set_edge_attributes(graph, weight, "weight")
    with pytest.raises(SpecError, match="not doubly stochastic"):
        weigh("prescribed", graph)
    directed = nx.DiGraph()
    directed.add_weighted_edges_from([(0, 1, 0.5), (1, 0, 0.25)])
    with pytest.raises(SpecError, match="not doubly stochastic"):
        weigh("prescribed", directed)


# -- the optimal ones


def slem_of_constant(graph: nx.Graph, weight: float) -> float:
    return slem(np.eye(len(graph)) - weight * nx.laplacian_matrix(graph, nodelist=range(len(graph))).toarray())


@given(connected_graphs())
@settings(deadline=None, max_examples=40)
def test_no_other_constant_weight_mixes_faster_than_the_best(graph):
    weights = weigh("best_constant", graph)
    u, v = next(iter(graph.edges))
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2):
        assert slem(weights) <= slem_of_constant(graph, factor * weights[u, v]) + 1e-12


@given(connected_graphs(largest=8))
@settings(deadline=None, max_examples=15)
def test_fastest_is_no_slower_than_any_other_symmetric_rule(graph):
    fastest = slem(weigh("fastest", graph))
    for rule, entry in mixing.entries.items():
        if entry.traits["stochastic"] == "doubly" and not refused(rule, graph):
            assert fastest <= slem(weigh(rule, graph)) + 1e-12


def lower_bound(graph: nx.Graph, weights: np.ndarray) -> float:
    """A bound below which no symmetric weights can go: tr Z / |Z|_* for any Z with b_e' Z b_e = 0 for every edge.

    For such a Z, tr(Z W) = tr Z and tr(Z W) <= |Z|_* |W - 11'/K| (with Z 1 = 0). A good Z is built from M^(2p-1).
    """
    values, vectors = np.linalg.eigh(weights - 1 / len(graph))
    incidence = nx.incidence_matrix(graph, nodelist=range(len(graph)), oriented=True).toarray().T
    bounds = []
    for power in 2.0 ** np.arange(3, 16):
        scaled = np.abs(values / np.abs(values).max()) ** (2 * power - 1) * np.sign(values)
        start = (vectors * scaled) @ vectors.T
        excess = np.einsum("ek,kj,ej->e", incidence, start, incidence)
        multipliers = np.linalg.lstsq((incidence @ incidence.T) ** 2, excess)[0]
        certificate = start - (incidence.T * multipliers) @ incidence
        bounds.append(np.trace(certificate) / np.abs(np.linalg.eigvalsh(certificate)).sum())
    return max(bounds)


@pytest.mark.parametrize("name", ["erdos_renyi", "random_geometric", "barabasi_albert", "grid", "binary_tree"])
def test_fastest_is_within_one_percent_of_a_dual_bound(name):
    graph = Network(name, 16, seed=5).at(0)
    weights = weigh("fastest", graph)
    assert slem(weights) < slem(weigh("best_constant", graph)) * 0.999
    assert slem(weights) <= 1.01 * lower_bound(graph, weights)


def test_fastest_finds_the_known_optima():
    path, star = nx.path_graph(9), nx.star_graph(6)
    assert slem(weigh("fastest", path)) == pytest.approx(np.cos(np.pi / 9), abs=1e-9)
    assert slem(weigh("fastest", star)) == pytest.approx(6 / 8, abs=1e-9)  # all edges alike: the best constant
    assert slem(weigh("fastest", nx.complete_graph(6))) == pytest.approx(0, abs=1e-9)


def test_fastest_matches_a_direct_search_on_two_joined_triangles():
    far, near, bridge = [(0, 1), (4, 5)], [(0, 2), (1, 2), (3, 4), (3, 5)], [(2, 3)]  # alike by symmetry
    graph = nx.Graph([*far, *near, *bridge])
    kinds = np.zeros((3, 6, 6))
    for laplacian, edges in zip(kinds, (far, near, bridge), strict=True):
        for u, v in edges:
            laplacian[[u, v], [u, v]] += 1
            laplacian[[u, v], [v, u]] -= 1

    def speed(weights: np.ndarray) -> float:
        return slem(np.eye(6) - np.tensordot(weights, kinds, 1))

    starts = np.random.default_rng(0).uniform(0, 0.6, (4, 3))
    best = min(minimize(speed, start, method="Nelder-Mead", options={"xatol": 1e-9}).fun for start in starts)
    assert slem(weigh("fastest", graph)) == pytest.approx(best, rel=1e-3)


def test_fastest_is_refused_where_it_is_too_dear():
    with pytest.raises(SpecError, match="up to 128 devices"):
        weigh("fastest", nx.cycle_graph(129))
