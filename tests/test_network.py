"""The network builds, redraws and checks what a topology returns."""

from __future__ import annotations

import networkx as nx
import pytest

from p2pl.network import Network
from p2pl.registry import Family, SpecError


def test_a_topology_with_a_step_is_drawn_anew_at_each_step():
    network = Network("random_matching", 12, seed=1)
    assert network.period is None
    assert len({tuple(network.at(step).edges) for step in range(10)}) == 10
    for step in range(10):
        assert nx.is_perfect_matching(network.at(step), set(network.at(step).edges))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (nx.path_graph(3), "nodes other than"),
        (nx.Graph([(0, 0), (0, 1), (1, 2), (2, 3)]), "self-loops"),
        (nx.MultiGraph([(0, 1), (1, 2), (2, 3)]), "MultiGraph"),
        (nx.Graph([(0, 1), (2, 3)]), "leaves devices apart"),
        (nx.DiGraph([(0, 1), (1, 2), (2, 3)]), "leaves devices apart"),
        ([nx.Graph([(0, 1), (2, 3)]), nx.Graph([(0, 1), (2, 3)])], "leaves devices apart"),
        ([nx.path_graph(4), nx.cycle_graph(4, create_using=nx.DiGraph)], "all or none of them directed"),
        ([], "a period is a list of graphs"),
        (None, "NoneType"),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(monkeypatch, broken, words):
    monkeypatch.setattr(Family, "call", lambda *_, **__: broken)
    with pytest.raises(SpecError, match=words):
        Network("ring", 4)


def test_disconnected_draws_are_thrown_away_and_counted():
    redrawn = [Network({"name": "erdos_renyi", "p": 0.12}, 20, seed) for seed in range(8)]
    assert all(nx.is_connected(network.at(0)) for network in redrawn)
    assert sum(network.redraws for network in redrawn) > 0
    assert Network({"name": "erdos_renyi", "p": 1.0}, 20).redraws == 0
