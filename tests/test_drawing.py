"""Every topology can be drawn, the same network to the same bytes, with areas that follow the stationary weights."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from p2pl.drawing import draw_graph, draw_network, layout
from p2pl.network import Network
from p2pl.registry import mixing, topology
from p2pl.spectrum import stationary


@pytest.mark.parametrize("name", topology.entries)
def test_every_topology_is_drawn_and_no_two_devices_on_one_place(name, tmp_path):
    devices = 32 if name == "davis" else 16
    network = Network(name, devices, seed=1)
    draw_network(network, None, tmp_path / "graph.png")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")
    places = layout(network.at(0))
    distances = np.linalg.norm(places[:, None] - places, axis=-1)[np.triu_indices(devices, 1)]
    assert distances.min() > 0.004 * distances.max()
    assert not plt.get_fignums()


@pytest.mark.parametrize("suffix", ["pdf", "png"])
def test_the_same_network_gives_the_same_bytes(suffix, tmp_path, monkeypatch):
    weights = np.arange(1, 9) / 36
    for epoch, file in ((1, "one"), (900_000_000, "two")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(epoch))  # what would be written as the date
        draw_network(Network("one_peer_hypercube", 8), weights, tmp_path / f"{file}.{suffix}")
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_area_and_colour_follow_the_stationary_weights():
    graph = Network("star", 10).at(0)
    weights = stationary(mixing.call("p2pl", graph=graph, sizes=np.ones(10)))
    nodes = draw_graph(graph, weights, Figure().subplots())
    areas = nodes.get_sizes()
    assert areas / areas.sum() == pytest.approx(weights)
    assert np.asarray(nodes.get_array()) == pytest.approx(10 * weights)


def test_one_device_is_drawn(tmp_path):
    draw_network(Network("complete", 1), None, tmp_path / "one.pdf")
    assert (tmp_path / "one.pdf").stat().st_size > 0
