"""Compressed gossip: what each algorithm reduces to, what it preserves, and what it pays."""

import json

import numpy as np
import pytest
import torch
from gossip import COMPRESSING, FULL, QUADRATIC, SMALL, averaging, fitting, models

from p2pl import Experiment, simulate
from p2pl.algorithm import known_to_all
from p2pl.cli import main
from p2pl.engine import prepare, unfold
from p2pl.registry import SpecError, algorithm, compressor


@pytest.mark.parametrize(
    ("compressed", "plain"),
    [
        ("choco_sgd", "dsgd"),
        ("deep_squeeze", "dsgd"),
        ("sparse_push", "sgp"),
        ("sparse_push_feedback", "sgp"),
        ({"name": "skew_compensated_sparse_push", "final_rounds": 0}, "sparse_push"),
    ],
)
@pytest.mark.parametrize("start", ["shared", "independent"])
def test_with_everything_sent_compressed_gossip_is_gossip(compressed, plain, start):
    rule = "metropolis" if plain == "dsgd" else "push_sum"
    shared = SMALL | {"mixing": rule, "topology": "star", "initialization": start}
    for sent in ("none", {"name": "top_k", "keep": 1}):
        for one, other in zip(
            models(shared | {"algorithm": compressed, "compression": sent}),
            models(shared | {"algorithm": plain}),
            strict=True,
        ):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


COPYING = [n for n in COMPRESSING if n not in ("deep_squeeze", "sparse_push_feedback", "adagossip")]


def spread(name, graph, gamma, rounds):
    """How far devices are from the mean of their starts after nothing but gossip, of how far they were; its bias."""
    settings = averaging(name, rounds, topology=graph, compression={"name": "top_k", "keep": 0.2})
    settings |= {"algorithm": {"name": name, "gamma": gamma}, "evaluation": {"every": rounds}}
    *_, last = simulate(Experiment(**settings))
    start = prepare(Experiment(**settings)).draw()
    mean = start.mean(dim=0)
    return ((last.models - mean).norm() / (start - mean).norm()).item(), (last.models.mean(dim=0) - mean).abs().max()


@pytest.mark.parametrize("name", COPYING)
@pytest.mark.parametrize("graph", ["ring", "complete"])
def test_compressed_differences_to_copies_lead_to_consensus(name, graph):
    """... on the mean of the starts, if there is nothing to learn."""
    assert spread(name, graph, 0.15, 1500)[0] < 1e-6


@pytest.mark.parametrize("graph", ["ring", "complete"])
def test_error_feedback_leaves_a_spread_in_proportion_to_gamma(graph):
    """DeepSqueeze keeps the mean, and its devices apart: what is not sent yet is as large as the models are."""
    (narrow, bias), (wide, other) = (spread("deep_squeeze", graph, gamma, 600) for gamma in (0.05, 0.1))
    assert max(bias, other) < 1e-12
    assert wide == pytest.approx(2 * narrow, rel=0.1)


@pytest.mark.parametrize("name", COMPRESSING)
def test_messages_are_counted_to_the_byte(name):
    """Star of 8: 14 links, 6 rounds, 5 % of every layer with an index each, or a bit a value."""
    said = {"name": "top_k", "keep": 0.02}
    settings = fitting(name, topology="star", compression=said, initialization="independent")
    seen = list(simulate(Experiment(**settings)))
    layers = [p.numel() for p in prepare(Experiment(**settings)).scenario.module.parameters()]
    counts = [max(1, int(n * 0.02)) for n in layers]
    one = sum(8 * k + min(4 * k, -(-n // 8)) for k, n in zip(counts, layers, strict=True))
    parts = {"beer": 2 * one}.get(name, one) + (8 if "push" in name else 0)
    rounds = 6
    expected = rounds * parts
    if name == "skew_compensated_sparse_push":
        expected = 1 * parts + 5 * (sum(layers) + 1) * 8
    assert seen[-1].measures["bytes_sent"] == 14 * expected
    assert seen[-1].measures["messages"] == 14 * rounds


def top(row, layers, keep):
    """The largest values of every layer of a NumPy vector."""
    out = np.zeros_like(row)
    for begin, size in zip(np.cumsum([0, *layers[:-1]]), layers, strict=True):
        part = slice(begin, begin + size)
        chosen = begin + np.argsort(-np.abs(row[part]))[: max(1, int(size * keep))]
        out[chosen] = row[chosen]
    return out


def by_hand(name, p, slopes, sent, x, gamma, lr, rounds):
    """(K, P) models after each round of an algorithm, in NumPy: p weights, slopes(z) gradients, sent(x) compressed."""
    second = np.zeros_like(x)
    h, w, e, c, g = x.copy(), np.ones((len(x), 1)), np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for number in range(rounds):
        if name == "beer":
            v = slopes(x) - c
            h, g = h + sent(x - h), g + sent(v - g)
            x, c = x - lr * v + gamma * (p @ h - h), c - gamma * (p @ g - g)
        elif name.startswith("skew") and number >= rounds - 5:
            x, w = p @ x, p @ w
        else:
            x = x - lr * slopes(x / w)
            if name in ("deep_squeeze", "sparse_push_feedback"):
                said = sent(x + e)
                e = x + e - said
            else:
                said = h = h + sent(x - h)
            error, scale = p @ said - said, 1.0
            if name == "adagossip":
                second = 0.999 * second + 0.001 * error**2
                scale = np.maximum(np.sqrt(second / (1 - 0.999 ** (number + 1))) + 1e-8, gamma)
                assert 0 < (scale == gamma).mean() < 1  # some values go by gamma, others to the mean of what is known
            x, w = x + gamma * error / scale, w + gamma * (p @ w - w)
        yield x / w


@pytest.mark.parametrize("name", COMPRESSING)
def test_each_rule_is_the_equation_of_its_paper(name):
    """K models of least squares, on a non-regular digraph or a star."""
    keep, gamma, lr, rounds = 0.4, 0.005 if name == "adagossip" else 0.3, 0.02, 12
    columns = "column stochastic" in algorithm.entry(name).traits["needs"]
    graph, rule = ("chorded_ring", "push_sum") if columns else ("star", "metropolis")
    settings = QUADRATIC | {"algorithm": {"name": name, "gamma": gamma}, "rounds": rounds, "topology": graph}
    settings |= {"mixing": rule, "training": FULL | {"lr": lr}, "compression": {"name": "top_k", "keep": keep}}
    setting = prepare(Experiment(**settings))
    known, shards = setting.data, setting.work.data.shards

    def slopes(z):
        parts = [(known.x_train[s], known.y_train[s][:, 0], row) for s, row in zip(shards, z, strict=True)]
        return np.stack([2 / len(a) * a.T @ (a @ row - b) for a, b, row in parts])

    def sent(rows):
        return np.stack([top(row, [5], keep) for row in rows])

    weights = setting.channel.transmission.next().weights.matrix().toarray()
    start = np.repeat(setting.draw()[:1].numpy(), 16, axis=0)
    found = [s.models.numpy() for s in simulate(Experiment(**settings)) if s.phase == "cooperate"]
    for one, expected in zip(found, by_hand(name, weights, slopes, sent, start, gamma, lr, rounds), strict=True):
        np.testing.assert_allclose(one, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("keep", [0.5, 1.0])
def test_beer_reaches_the_optimum_where_choco_and_sgp_stay_beside_it(keep):
    said = {"name": "top_k", "keep": keep} if keep < 1 else "none"
    rates = {"training": FULL | {"lr": 0.02}, "rounds": 3000, "compression": said}
    ends = {}
    for name, gamma in (("beer", 0.6), ("choco_sgd", 0.6)):
        *_, last = simulate(Experiment(**QUADRATIC | rates | {"algorithm": {"name": name, "gamma": gamma}}))
        ends[name] = last.measures["distance_to_optimum"]
    assert ends["beer"] < 1e-10
    assert ends["choco_sgd"] > 1e-2


def test_a_common_start_is_known_to_all_and_others_are_not():
    same, other = torch.ones(3, 4), torch.arange(12.0).reshape(3, 4)
    assert torch.equal(known_to_all(same), same)
    assert not known_to_all(other).any()


REFUSED = [
    ({"algorithm": "dsgd", "compression": "sign"}, "algorithm 'dsgd' sends its models as they are"),
    ({"algorithm": "choco_sgd", "topology": "one_peer_exponential", "mixing": "prescribed"}, "varies in time"),
    ({"algorithm": "choco_sgd", "mixing": "p2pl"}, "'p2pl' is row stochastic"),
    ({"algorithm": "choco_sgd", "mixing": "metropolis", "failures": "links"}, "leave failures out"),
    ({"algorithm": "sparse_push", "mixing": "push_sum", "topology": "random_matching"}, "drawn anew at each step"),
    ({"algorithm": "sgp", "mixing": "p2pl"}, "needs column stochastic"),
    ({"algorithm": "choco_sgd", "mixing": "metropolis", "compression": {"name": "top_k", "keep": 0}}, "'keep'"),
    ({"algorithm": "choco_sgd", "mixing": "metropolis", "compression": {"name": "top_k", "keep": 1.5}}, "'keep'"),
    ({"algorithm": "choco_sgd", "mixing": "metropolis", "compression": "topk"}, "did you mean 'top_k'"),
    ({"algorithm": "skew_compensated_sparse_push", "mixing": "push_sum", "rounds": 5}, "the last 5 only merge"),
    ({"algorithm": {"name": "adagossip", "beta": 1}, "mixing": "metropolis"}, "'beta': expected a number from 0 to be"),
    (
        {
            "algorithm": "deep_squeeze",
            "mixing": "metropolis",
            "compression": "sign",
            "failures": "lost_packets",
        },
        "lose whole messages",
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=lambda case: str(case)[:50])
def test_what_cannot_be_is_refused_before_training(change, message):
    with pytest.raises(SpecError, match=message):
        prepare(Experiment(**SMALL | change))


def test_the_summary_says_how_far_the_optimum_is(tmp_path, capsys):
    spec = json.dumps(QUADRATIC | {"algorithm": "sgp", "mixing": "push_sum", "rounds": 5, "training": FULL})
    assert main(["run", spec, "--out", str(tmp_path / "r.parquet"), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["distance_to_optimum"] >= summary["distance_to_optimum_of_average"] > 0


@pytest.mark.parametrize("name", COMPRESSING)
@pytest.mark.parametrize("said", compressor.entries)
def test_every_compressor_goes_with_every_algorithm(name, said):
    """Sixty rounds at a small consensus step: nothing diverges, and the devices learn."""
    settings = fitting(name, compression=said, rounds=60, dtype="float32", evaluation={"every": 60})
    settings["algorithm"] = {"name": name, "gamma": 0.0002 if name == "adagossip" else 0.02}
    settings["training"] = SMALL["training"] | {"lr": 0.02}
    first, *_, last = unfold(prepare(Experiment(**settings)))
    assert last.status == "finished"
    assert last.measures["loss_mean"] < first.measures["loss_mean"]
