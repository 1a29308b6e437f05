"""Laws of every failure model with every mixing rule: W_t, what is heard, what is paid."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pl.channel import Channel
from p2pl.failures.losses import pairs_of
from p2pl.network import Network
from p2pl.registry import SpecError, failure, mixing
from p2pl.seeds import stream
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


def matrices(exchange):
    """The (K, K) weights of an exchange, one for each packet where there is a packet axis."""
    weights = exchange.weights
    packets = [None] if weights.link.ndim == 1 else range(weights.link.shape[1])
    return [weights.matrix(packet).toarray() for packet in packets]


@pytest.mark.parametrize("name", failure.entries)
@pytest.mark.parametrize(("rule", "graph"), rules())
def test_every_row_of_every_matrix_sums_to_one(name, rule, graph):
    """... or, of a column-stochastic rule, every column; and no weight goes to what was not heard."""
    air = transmission(graph, rule, harsh(name))
    air.moment.round = 1
    axis = 0 if air.stochastic == "column" else 1
    for history in range(12):
        exchange = air.next(history, packets=3)
        for matrix in matrices(exchange):
            np.testing.assert_allclose(matrix.sum(axis=axis), 1, rtol=0, atol=1e-14)
        whole = sum(np.abs(matrix) for matrix in matrices(exchange))
        silent = ~exchange.heard & (exchange.weights.link.ndim == 1)
        assert not whole[exchange.weights.receivers[silent], exchange.weights.senders[silent]].any()
        assert not (exchange.heard & ~exchange.sent).any()
        assert not (exchange.sent & ~exchange.used).any()


@pytest.mark.parametrize("name", failure.entries)
@pytest.mark.parametrize(
    "rule", [rule for rule, entry in mixing.entries.items() if entry.traits["stochastic"] != "column"]
)
def test_identical_models_stay_identical(name, rule):
    channel = Channel(transmission(dict(rules())[rule], rule, harsh(name)))
    channel.begin_round(1)
    model = torch.linspace(-1, 1, 500, dtype=torch.float64)
    x = model.repeat(8, 1)
    for _ in range(10):
        (x,) = channel.mix(x)
    torch.testing.assert_close(x, model.repeat(8, 1), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", failure.entries)
def test_each_failure_model_bites(name):
    """Each model at its harsh options (or defaults) changes something within 10 steps: no law here holds vacuously."""
    fair, foul = transmission("complete", "p2pl"), transmission("complete", "p2pl", harsh(name))
    foul.moment.round = 1
    pairs = [(fair.next(9), foul.next(9)) for _ in range(10)]
    assert any(bad.delay or not np.array_equal(good.heard, bad.heard) for good, bad in pairs)


@pytest.mark.parametrize("none", ["links", "churn", "lost_packets"])
def test_rate_zero_is_no_failure_bit_for_bit(none):
    plain, failing = transmission("star", "p2pl"), transmission("star", "p2pl", {"name": none, "rate": 0})
    x = torch.randn(8, 900, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        assert torch.equal(Channel(plain).mix(x)[0], Channel(failing).mix(x)[0])


def test_other_harmless_settings_are_no_failure():
    for harmless in (
        {"name": "bursts", "loss": 0},
        {"name": "delay", "steps": 0},
        {"name": "intermittent", "every": 1},
    ):
        plain, failing = transmission("ring", "metropolis"), transmission("ring", "metropolis", harmless)
        assert all((plain.next().heard == failing.next().heard).all() for _ in range(5))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.floats(0, 1), st.sampled_from(["p2pl", "uniform", "metropolis", "best_constant"]))
def test_losses_keep_rows_for_any_seed_and_rate(seed, rate, rule):
    air = transmission("erdos_renyi", rule, {"name": "links", "rate": rate, "symmetric": False}, seed=seed)
    for _ in range(3):
        (matrix,) = matrices(air.next())
        np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=0, atol=1e-14)


def test_row_rules_reweight_over_who_was_heard():
    """p2pl weights on what is left are the p2pl weights of what is left: n_j / sum over the heard and oneself."""
    air = transmission("complete", "p2pl", {"name": "links", "rate": 0.6})
    exchange = air.next()
    (matrix,) = matrices(exchange)
    for k in range(8):
        heard = [k, *exchange.weights.senders[exchange.heard & (exchange.weights.receivers == k)]]
        np.testing.assert_allclose(matrix[k, heard], SIZES[heard] / SIZES[heard].sum(), rtol=1e-14)


def test_doubly_stochastic_rules_stay_so_under_symmetric_losses():
    air = transmission("complete", "metropolis", {"name": "links", "rate": 0.6})
    for _ in range(5):
        (matrix,) = matrices(air.next())
        np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=0)
        np.testing.assert_allclose(matrix.sum(axis=0), 1, rtol=0, atol=1e-14)


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
        transmission("ring", "uniform", {"name": "bursts", "loss": 0.9, "length": 2.0}).next()


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


def test_failures_are_the_same_for_every_rule():
    first = transmission("complete", "p2pl", harsh("bursts"), seed=5)
    other = transmission("complete", "metropolis", harsh("bursts"), seed=5)
    seen = [first.next().heard for _ in range(9)]
    assert all((other.next().heard == one).all() for one in seen)


def test_several_failures_act_together():
    drops, churn = harsh("links"), harsh("churn")
    alone = [transmission("complete", "p2pl", drops), transmission("complete", "p2pl", drops, churn)]
    fewer, fewest = alone[0].next().heard, alone[1].next().heard
    assert (fewest <= fewer).all()
    assert fewest.sum() < fewer.sum()
    both = transmission("complete", "p2pl", drops, harsh("lost_packets"), harsh("delay"))
    for history in range(5):
        for matrix in matrices(both.next(history, packets=3)):
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


def test_streams_are_independent_by_name_and_index():
    draws = [stream(0, name, *index).random() for name in ("graph", "failures") for index in ((), (0,), (1,), (0, 1))]
    assert len(set(draws)) == len(draws)
    assert stream(3, "init", 2).random() == stream(3, "init", 2).random()
    with pytest.raises(KeyError, match="no random stream"):
        stream(0, "grpah")
