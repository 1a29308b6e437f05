"""What the tests of exchanges and of failure models share."""

import numpy as np

from p2pl.network import Network
from p2pl.registry import failure, mixing
from p2pl.transmission import Transmission

HARSH = {
    "links": {"rate": 0.5},
    "bursts": {"loss": 0.4, "length": 4.0},
    "lost_packets": {"rate": 0.3},
    "churn": {"rate": 0.4},
    "delay": {"steps": 2},
    "intermittent": {"every": 3},
}
SIZES = np.array([5, 1, 9, 2, 7, 3, 8, 4])


def rules():
    """Every rule with a graph that it works on: its own weights need a graph that brings them."""
    return [(rule, "one_peer_exponential" if rule == "prescribed" else "star") for rule in mixing.entries]


def transmission(graph, rule, *failures, seed=0, devices=8):
    chosen = [failure.resolve(one) for one in failures]
    sizes = np.resize(SIZES, devices)
    return Transmission(Network(graph, devices, seed), mixing.resolve(rule), sizes, chosen, seed)


def harsh(name):
    """A failure model at a rate that bites; one that this test does not know yet, at its defaults."""
    return {"name": name, **HARSH.get(name, {})}


def matrices(exchange, packets=1):
    """The (K, K) weights of an exchange, one for each packet where there is a packet axis, else the same for all."""
    weights = exchange.weights
    each = [None] * packets if weights.link.ndim == 1 else range(weights.link.shape[1])
    return [weights.matrix(packet).toarray() for packet in each]
