"""Push-sum: exact averages on digraphs, whatever fails; what Sparse-Push adds."""

import pytest
import torch
from gossip import SMALL, averaging, fitting, models

from p2pl import Experiment, simulate
from p2pl.engine import prepare

LOSSES = (None, "links", "bursts", "churn", "intermittent")


def test_on_doubly_stochastic_weights_push_sum_is_gossip():
    both = [SMALL | {"mixing": "metropolis", "topology": "star", "algorithm": name} for name in ("sgp", "dsgd")]
    for one, other in zip(*map(models, both), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("graph", ["chorded_ring", "directed_ring", "random_digraph", "one_peer_exponential"])
def test_push_sum_averages_exactly_where_column_stochastic_weights_alone_do_not(graph):
    settings = averaging("sgp", 400, topology=graph, evaluation={"every": 400})
    *_, last = simulate(Experiment(**settings))
    mean = prepare(Experiment(**settings)).draw().mean(dim=0)
    torch.testing.assert_close(last.models, mean.expand_as(last.models), rtol=0, atol=1e-12)
    biased = not torch.allclose(last.state.x, mean.expand_as(last.state.x), rtol=0, atol=1e-3)
    assert biased == (graph in ("chorded_ring", "random_digraph"))


FAILING = [("sparse_push", None), *((name, one) for name in ("sgp", "sparse_push_feedback") for one in LOSSES)]


@pytest.mark.parametrize(("name", "failure"), FAILING)
def test_no_mass_is_lost_whatever_fails(name, failure):
    """sum_k w_k = K and sum_k x_k is what learning made it."""
    gossip = {"name": name} | ({} if name == "sgp" else {"gamma": 0.3})
    settings = averaging(name, 30, topology="chorded_ring") | {"algorithm": gossip, "failures": failure}
    if name != "sgp":
        settings |= {"compression": {"name": "top_k", "keep": 0.1}}
    seen = list(simulate(Experiment(**settings)))
    total = seen[0].state.x.sum(dim=0)
    for snapshot in seen:
        assert snapshot.state.w.sum().item() == pytest.approx(8, abs=1e-12)
        assert (snapshot.state.w > 0).all()
        torch.testing.assert_close(snapshot.state.x.sum(dim=0), total, rtol=0, atol=1e-11)
    assert seen[-1].status == "finished"


@pytest.mark.parametrize("steps", [1, 3])
def test_what_is_late_is_mass_under_way(steps):
    """What devices hold and what was sent in the last `steps` exchanges is all there was; ratios find the mean."""
    settings = averaging("sgp", 900, topology="chorded_ring", failures={"name": "delay", "steps": steps})
    seen = [snapshot.state for snapshot in simulate(Experiment(**settings)) if snapshot.phase != "learn"]
    setting = prepare(Experiment(**settings | {"failures": None}))
    weights = torch.from_numpy(setting.channel.transmission.next().weights.matrix().toarray())
    sent = 1 - weights.diagonal()
    for number, state in enumerate(seen):
        for part, whole in ((state.x, seen[0].x.sum(dim=0)), (state.w, torch.tensor([8.0], dtype=torch.float64))):
            name = "x" if part is state.x else "w"
            under_way = [sent @ getattr(before, name) for before in seen[max(0, number - steps) : number]]
            torch.testing.assert_close(part.sum(dim=0) + sum(under_way), whole, rtol=0, atol=1e-11)
    z = seen[-1].x / seen[-1].w
    torch.testing.assert_close(z, seen[0].x.mean(dim=0).expand_as(z), rtol=0, atol=1e-9)


def test_devices_only_merge_in_the_last_rounds():
    settings = fitting("skew_compensated_sparse_push", topology="chorded_ring", rounds=8)
    seen = list(simulate(Experiment(**settings)))
    for before, learned in zip(seen[0::2], seen[1::2], strict=False):
        assert torch.equal(before.models, learned.models) == (learned.round > 3)
    merged = seen[-1].state
    torch.testing.assert_close(merged.x.sum(dim=0), seen[6].state.x.sum(dim=0), rtol=0, atol=1e-12)
    spread = [(s.models - s.models.mean(dim=0)).norm() for s in (seen[6], seen[-1])]
    assert spread[1] < 0.5 * spread[0]


def test_a_replica_is_kept_for_each_graph_of_a_period():
    said = {"name": "top_k", "keep": 0.1}
    settings = fitting("sparse_push", topology="one_peer_exponential", compression=said)
    *_, last = simulate(Experiment(**settings))
    assert len(last.state.memory) == 3
    assert len(torch.stack(last.state.memory).flatten(1).unique(dim=0)) == 3
