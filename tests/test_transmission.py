"""Laws of every failure model with every mixing rule: W_t, what is heard, what is paid."""

import numpy as np
import pytest
import torch
from exchanges import SIZES, harsh, matrices, rules, transmission
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pl.channel import Channel
from p2pl.registry import failure, mixing
from p2pl.seeds import stream


@pytest.mark.parametrize("names", [*((name,) for name in failure.entries), ("delay", "lost_packets")])
@pytest.mark.parametrize(("rule", "graph"), rules())
def test_every_row_of_every_matrix_sums_to_one(names, rule, graph):
    """... or, of a column-stochastic rule, every column of what is kept and of what is sent, which may arrive later."""
    air = transmission(graph, rule, *map(harsh, names))
    air.moment.round = 1
    exchanges = [air.next(packets=3) for _ in range(12)]
    late = exchanges[0].delay if air.stochastic == "column" else 0
    for exchange, then in zip(exchanges, exchanges[late:], strict=False):
        packets = 3 if "lost_packets" in names else 1
        for matrix, arrived in zip(matrices(exchange, packets), matrices(then, packets), strict=True):
            whole = np.diag(matrix.diagonal()) + arrived - np.diag(arrived.diagonal())
            np.testing.assert_allclose(whole.sum(axis=0 if air.stochastic == "column" else 1), 1, rtol=0, atol=1e-14)
    for exchange in exchanges:
        whole = sum(np.abs(matrix) for matrix in matrices(exchange))
        silent = ~exchange.heard & (exchange.weights.link.ndim == 1)
        assert not whole[exchange.weights.receivers[silent], exchange.weights.senders[silent]].any()
        assert exchange.delay or not (exchange.heard & ~exchange.sent).any()
        assert not (exchange.sent & ~exchange.used).any()


@pytest.mark.parametrize("name", failure.entries)
@pytest.mark.parametrize(
    "rule", [rule for rule, entry in mixing.entries.items() if entry.traits["stochastic"] != "column"]
)
def test_identical_models_stay_identical(name, rule):
    channel = Channel(transmission(dict(rules())[rule], rule, harsh(name)))
    channel.begin_round(1)
    model = torch.linspace(-1, 1, 500, dtype=torch.float64)
    x, y = model.repeat(8, 1), 2 * model.repeat(8, 1)
    for _ in range(10):
        x, y = channel.mix(x, y)
        torch.testing.assert_close(channel.heard(x), model.repeat(8, 1), rtol=0, atol=1e-13)
    torch.testing.assert_close(x, model.repeat(8, 1), rtol=0, atol=1e-13)
    torch.testing.assert_close(y, 2 * x, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", failure.entries)
def test_each_failure_model_bites(name):
    """Each model at its harsh options (or defaults) changes something within 10 steps: no law here holds vacuously."""
    fair, foul = transmission("complete", "p2pl"), transmission("complete", "p2pl", harsh(name))
    foul.moment.round = 1
    pairs = [(fair.next(), foul.next()) for _ in range(10)]
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


def test_failures_are_the_same_for_every_rule():
    first = transmission("complete", "p2pl", harsh("bursts"), seed=5)
    other = transmission("complete", "metropolis", harsh("bursts"), seed=5)
    seen = [first.next().heard for _ in range(9)]
    assert all((other.next().heard == one).all() for one in seen)


def test_streams_are_independent_by_name_and_index():
    draws = [stream(0, name, *index).random() for name in ("graph", "failures") for index in ((), (0,), (1,), (0, 1))]
    assert len(set(draws)) == len(draws)
    assert stream(3, "init", 2).random() == stream(3, "init", 2).random()
    with pytest.raises(KeyError, match="no random stream"):
        stream(0, "grpah")
