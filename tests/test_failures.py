"""Each failure model does what it says: rates, bursts, delays, packets, and what they cost."""

import itertools

import numpy as np
import pytest
import torch
from exchanges import harsh, matrices, transmission

from p2pl.channel import Channel
from p2pl.failures.losses import pairs_of
from p2pl.network import Network
from p2pl.registry import SpecError, failure


@pytest.mark.parametrize("graph", ["random_matching", "one_peer_exponential"])
def test_links_of_a_varying_graph_keep_their_history(graph):
    """A burst goes on while its link is not in use: the chain runs in time, for all links that any step may use."""
    bursts = {"name": "bursts", "loss": 0.5, "length": 1e6, "symmetric": False}
    air, seen = transmission(graph, "uniform", bursts), {}
    for _ in range(40):
        exchange = air.next()
        np.testing.assert_allclose(exchange.weights.matrix().sum(axis=1), 1, rtol=0, atol=1e-14)
        for link in np.flatnonzero(exchange.used):
            seen.setdefault(link, set()).add(bool(exchange.heard[link]))
    assert all(len(fates) == 1 for fates in seen.values())
    assert {True, False} == set.union(*seen.values())


def frequency(name, steps=4000, **options):
    """(steps, links) of whether messages were heard, on a ring of 8."""
    air = transmission("ring", "uniform", {"name": name, **options})
    return np.array([air.next().heard for _ in range(steps)]), air.links


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", ["links", "bursts"])
def test_links_fail_at_their_rate_and_both_ways_together_if_symmetric(name, symmetric):
    """Sampling error of 32,000 (half if symmetric) draws: a burst of mean length L counts as about one draw in 2L."""
    rate = {"links": {"rate": 0.3}, "bursts": {"loss": 0.3, "length": 3.0}}[name]
    heard, links = frequency(name, symmetric=symmetric, **rate)
    error = np.sqrt(0.21 / (heard.size / (2 if symmetric else 1) / (6 if name == "bursts" else 1)))
    assert abs((~heard).mean() - 0.3) < 4 * error
    pair, _ = pairs_of(links)
    together = all((heard[:, pair == p].all(axis=1) == heard[:, pair == p].any(axis=1)).all() for p in range(8))
    assert together == symmetric


@pytest.mark.parametrize("length", [1.0, 2.0, 8.0])
def test_bursts_have_their_mean_length(length):
    heard, _ = frequency("bursts", loss=0.25, length=length, symmetric=False)
    runs = [len(list(g)) for link in heard.T for bad, g in itertools.groupby(~link) if bad]
    assert abs(np.mean(runs) - length) < 4 * length / np.sqrt(len(runs))


def test_bursts_that_cannot_be_are_refused():
    with pytest.raises(SpecError, match="length must be at least"):
        transmission("ring", "uniform", {"name": "bursts", "loss": 0.9, "length": 2.0})


def test_a_delayed_message_is_the_model_of_then():
    """x_k(t + 1) = W_kk x_k(t) + sum_j W_kj x_j(t - d), and until step d everybody keeps to itself."""
    channel = Channel(transmission("ring", "uniform", {"name": "delay", "steps": 2}))
    weights = torch.from_numpy(transmission("ring", "uniform").next().weights.matrix().toarray())
    off = weights - torch.diag(weights.diagonal())
    past = [torch.randn(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))]
    for step in range(6):
        (mixed,) = channel.mix(past[-1])
        expected = past[-1] if step < 2 else weights.diagonal()[:, None] * past[-1] + off @ past[step - 2]
        torch.testing.assert_close(mixed, expected, rtol=0, atol=1e-14)
        past.append(mixed + step)


def test_what_was_not_sent_does_not_arrive():
    """With a delay of 1, what arrives is what was sent one step before, over the graph of one step before."""
    air, twin = transmission("one_peer_exponential", "prescribed", "delay"), Network("one_peer_exponential", 8)
    air.next()
    for step in range(1, 6):
        exchange = air.next()
        links = {(int(k), int(j)) for k, j in air.links[exchange.heard]}
        assert links == {(v, u) for u, v in twin.at(step - 1).edges}
    air = transmission("complete", "p2pl", "delay", {"name": "intermittent", "every": 2})
    arrived = []
    for number in range(1, 7):
        air.begin(number)
        arrived.append(air.next().heard.any())
    assert arrived == [False, False, True, False, True, False]


def test_one_device_bears_every_failure():
    for name in failure.entries:
        x = torch.ones(1, 5)
        assert torch.equal(Channel(transmission("complete", "p2pl", harsh(name), devices=1)).mix(x)[0], x)


def test_what_is_not_sent_is_not_paid_and_what_is_lost_is():
    x = torch.zeros(8, 10)
    costs = {}
    for name in ("links", "churn", "intermittent"):
        channel = Channel(transmission("complete", "p2pl", harsh(name)))
        for number in range(1, 7):
            channel.begin_round(number)
            channel.mix(x)
        costs[name] = channel.messages
    assert costs["links"] == 6 * 56
    assert costs["intermittent"] == 2 * 56
    assert 0 < costs["churn"] < 6 * 56


def test_several_failures_act_together():
    drops, churn = harsh("links"), harsh("churn")
    alone = [transmission("complete", "p2pl", drops), transmission("complete", "p2pl", drops, churn)]
    fewer, fewest = alone[0].next().heard, alone[1].next().heard
    assert (fewest <= fewer).all()
    assert fewest.sum() < fewer.sum()
    both = transmission("complete", "p2pl", drops, harsh("lost_packets"), harsh("delay"))
    for _ in range(5):
        for matrix in matrices(both.next(packets=3)):
            np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=0, atol=1e-14)


def test_packets_are_reweighted_part_by_part():
    """Each part of a model is mixed with the matrix of its own packet."""
    air = transmission("complete", "p2pl", harsh("lost_packets"))
    twin = transmission("complete", "p2pl", harsh("lost_packets")).next(packets=3)
    x = torch.randn(8, 500, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (mixed,) = Channel(air).mix(x)
    width = 1448 // 8
    for packet, matrix in enumerate(matrices(twin)):
        part = slice(packet * width, (packet + 1) * width)
        torch.testing.assert_close(mixed[:, part], torch.from_numpy(matrix) @ x[:, part], rtol=0, atol=1e-14)
    assert len(matrices(twin)) == 3
