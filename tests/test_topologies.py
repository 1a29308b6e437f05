"""Laws of every registered topology; then what each kind promises."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import p2pl.mixing
import p2pl.topologies
from p2pl.network import Network
from p2pl.registry import SpecError, mixing, topology
from p2pl.spectrum import diameter, flooding_time, period_matrix

SIZES = (1, 2, 3, 5, 8, 12, 16, 25, 32)
PAPERS_NAMES = """
    ring cycle path star torus grid complete hypercube erdos_renyi random_geometric random_regular small_world
    barabasi_albert binary_tree davis directed_ring exponential one_peer_exponential base_k_plus_1 random_matching
"""
every_topology = pytest.mark.parametrize("name", topology.entries)


def networks(name: str, seed: int = 0) -> Iterator[Network]:
    """The topology at every size of SIZES that it has; the others must be refused, with what would do."""
    for devices in SIZES:
        try:
            yield Network(name, devices, seed)
        except SpecError as refusal:
            if not re.search(r"would do|or more do$|can$|below the number|has 32", str(refusal)):
                pytest.fail(f"this does not say what would do: {refusal}")


def edges(network: Network, step: int = 0) -> list[tuple[int, int]]:
    return sorted(network.at(step).edges)


def test_the_graphs_of_the_papers_are_registered():
    assert set(PAPERS_NAMES.split()) <= set(topology.entries)


@every_topology
def test_every_topology_keeps_the_contract(name):
    built = list(networks(name))
    assert built, "none of the sizes fits"
    for network in built:
        for step in range(network.period or 3):
            graph = network.at(step)
            assert list(graph) == list(range(network.devices))
            assert nx.number_of_selfloops(graph) == 0
            assert graph.is_directed() == network.directed
        assert network.static == (network.period == 1)
        assert flooding_time(network) <= 10 * network.devices  # everybody hears of everybody


@every_topology
def test_a_static_graph_is_one_object_and_a_period_repeats(name):
    for network in networks(name):
        if network.period is None:
            assert edges(network, 5) == edges(network, 5)
        else:
            assert network.at(1) is network.at(1 + network.period)
            assert nx.is_frozen(network.at(0))


@every_topology
def test_the_seed_decides_the_graph(name):
    twice = zip(networks(name, seed=4), networks(name, seed=4), strict=True)
    assert all(edges(one) == edges(other) for one, other in twice)
    drawn = "rng" in topology.entry(name).given
    largest = [list(networks(name, seed))[-1] for seed in range(4)]
    assert (len({tuple(edges(network)) for network in largest}) > 1) == drawn


def test_a_matching_of_an_odd_number_leaves_one_out():
    degrees = sorted(degree for _, degree in Network("random_matching", 7).at(3).degree)
    assert degrees == [0, 1, 1, 1, 1, 1, 1]


def example_of(module: ModuleType) -> dict[str, Any]:
    """What the code at the beginning of a contract's docstring defines."""
    lines = (module.__doc__ or "").splitlines()[2:]
    code = "\n".join(itertools.takewhile(lambda line: not line or line.startswith("    "), lines))
    defined: dict[str, Any] = {}
    exec(textwrap.dedent(code), defined)
    return defined


def test_the_worked_examples_of_the_contracts_work():
    graph = example_of(p2pl.topologies)["wheel"](6, hub=2)
    assert nx.is_isomorphic(nx.subgraph(graph, [0, 1, 3, 4, 5]), nx.path_graph(5))
    assert graph.degree[2] == 5
    weights = example_of(p2pl.mixing)["half"](graph).toarray()
    np.testing.assert_allclose(weights[2], [0.1, 0.1, 0.5, 0.1, 0.1, 0.1])


# -- refusals


@pytest.mark.parametrize(
    ("choice", "devices", "words"),
    [
        ("hypercube", 12, "8 or 16 devices would do"),
        ("one_peer_hypercube", 12, "8 or 16 devices would do"),
        ("torus", 10, "9 or 12 devices would do"),
        ({"name": "torus", "rows": 3}, 10, "9 or 12 devices would do"),
        ({"name": "torus", "rows": 2}, 10, "3 rows or more"),
        ("grid", 7, "6 or 8 devices would do"),
        ("davis", 8, "has 32 devices"),
        ({"name": "random_regular", "degree": 3}, 9, "an even number of devices above 3"),
        ({"name": "small_world", "neighbours": 3}, 9, "must be even"),
        ({"name": "barabasi_albert", "links": 4}, 4, "below"),
        ({"name": "star", "hub": 4}, 4, "0..3"),
        ({"name": "thick_path", "diameter": 5}, 5, "6 devices or more"),
        ({"name": "chorded_ring", "jump": 9}, 8, "from 2 to 7"),
        ({"name": "random_geometric", "radius": 0.3, "diameter": 3}, 9, "not both"),
        ({"name": "random_geometric", "diameter": 9}, 9, "a smaller diameter"),
        ({"name": "erdos_renyi", "p": 0.0}, 9, "more links would do"),
        ("ring", 0, "at least 1"),
    ],
)
def test_impossible_sizes_and_options_are_refused_with_what_would_do(choice, devices, words):
    with pytest.raises(SpecError, match=words):
        Network(choice, devices)


# -- what each kind promises


@pytest.mark.parametrize(
    ("choice", "devices", "same"),
    [
        ("ring", 9, nx.cycle_graph(9)),
        ("cycle", 9, nx.cycle_graph(9)),
        ("path", 9, nx.path_graph(9)),
        ("star", 9, nx.star_graph(8)),
        ("complete", 9, nx.complete_graph(9)),
        ("torus", 12, nx.grid_2d_graph(3, 4, periodic=True)),
        ({"name": "torus", "rows": 3}, 36, nx.grid_2d_graph(3, 12, periodic=True)),
        ("grid", 12, nx.grid_2d_graph(3, 4)),
        ({"name": "grid", "rows": 2}, 12, nx.grid_2d_graph(2, 6)),
        ("hypercube", 16, nx.hypercube_graph(4)),
        ("binary_tree", 15, nx.balanced_tree(2, 3)),
        ("davis", 32, nx.davis_southern_women_graph()),
        ("directed_ring", 9, nx.cycle_graph(9, create_using=nx.DiGraph)),
    ],
)
def test_deterministic_graphs_are_those_of_networkx(choice, devices, same):
    assert nx.is_isomorphic(Network(choice, devices).at(0), same)


@pytest.mark.parametrize("degree", [2, 3, 5])
def test_random_regular_graphs_are_regular(degree):
    graph = Network({"name": "random_regular", "degree": degree}, 14, seed=degree).at(0)
    assert {count for _, count in graph.degree} == {degree}


def test_geometric_neighbours_are_those_within_the_radius():
    graph = Network({"name": "random_geometric", "radius": 0.4}, 30, seed=2).at(0)
    for u, v in nx.complete_graph(30).edges:
        near = np.hypot(*np.subtract(graph.nodes[u]["pos"], graph.nodes[v]["pos"])) <= 0.4
        assert graph.has_edge(u, v) == near


@pytest.mark.parametrize("hops", [2, 3, 6, 10])
def test_geometric_graphs_of_chosen_diameter(hops):
    assert diameter(Network({"name": "random_geometric", "diameter": hops}, 60, seed=hops).at(0)) == hops


@given(st.integers(2, 40), st.data())
@settings(deadline=None, max_examples=40)
def test_thick_paths_of_chosen_diameter(devices, data):
    hops = data.draw(st.integers(1, devices - 1))
    assert diameter(Network({"name": "thick_path", "diameter": hops}, devices).at(0)) == hops


@pytest.mark.parametrize("name", ["chorded_ring", "random_digraph"])
@pytest.mark.parametrize("devices", [5, 8, 13])
def test_irregular_digraphs_have_devices_with_more_listeners_than_others(name, devices):
    graph = Network(name, devices).at(0)
    assert nx.is_strongly_connected(graph)
    assert len({count for _, count in graph.out_degree}) > 1


def test_the_head_of_an_edge_hears_its_tail():
    weights = mixing.call("uniform", graph=Network("directed_ring", 5).at(0), sizes=np.ones(5)).toarray()
    assert weights[3].tolist() == [0, 0, 0.5, 0.5, 0]


# -- exact averaging in one period


@pytest.mark.parametrize("name", ["one_peer_exponential", "one_peer_hypercube"])
@pytest.mark.parametrize("power", range(8))
def test_one_peer_graphs_average_exactly_in_log2_steps(name, power):
    network = Network(name, 2**power)
    assert network.period == max(power, 1)
    assert max(degree for step in range(power + 1) for _, degree in network.at(step).degree) <= 2
    for start in range(network.period):
        product = period_matrix(network, "prescribed", np.ones(2**power), start)
        np.testing.assert_allclose(product, 1 / 2**power, rtol=0, atol=1e-14)


@given(st.integers(1, 70), st.integers(1, 6))
@settings(deadline=None, max_examples=120)
def test_base_k_plus_1_averages_exactly_with_at_most_k_neighbours(devices, k):
    network = Network({"name": "base_k_plus_1", "k": k}, devices)
    product = period_matrix(network, "prescribed", np.ones(devices))
    np.testing.assert_allclose(product, 1 / devices, rtol=0, atol=1e-14)
    assert max(degree for step in range(network.period) for _, degree in network.at(step).degree) <= k
    # Takezawa et al. 2023, theorem 1
    assert network.period <= 2 * np.log(devices) / np.log(k + 1) + 2
