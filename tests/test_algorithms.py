"""Laws of every registered algorithm and initialization; one more is under them without an edit."""

import numpy as np
import pytest
import torch
from suited import suited

from p2pl import Experiment, simulate
from p2pl.algorithm import tensors_of
from p2pl.engine import first_parameters, prepare
from p2pl.registry import SpecError, algorithm, initialization, mixing

SMALL = {
    "dataset": "digits",
    "devices": 6,
    "samples": 120,
    "model": {"name": "mlp", "hidden": [8]},
    "training": {"lr": 0.1, "momentum": 0.5, "batch_size": 8},
    "rounds": 3,
}


def spec(name, **changes):
    """A small experiment that the algorithm's needs allow."""
    return suited(SMALL | {"algorithm": name} | changes)


def models(settings):
    return [snapshot.models for snapshot in simulate(Experiment(**settings))]


@pytest.mark.parametrize("name", algorithm.entries)
def test_a_run_is_determined_by_its_spec(name):
    first, second = models(spec(name)), models(spec(name))
    other = models(spec(name, seed=1))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[-1], other[-1])
    assert torch.isfinite(first[-1]).all()


@pytest.mark.parametrize("name", algorithm.entries)
def test_no_phase_changes_the_state_it_is_given(name):
    """A state, once made, can be kept for later: that is what checkpoints rely on."""
    setting = prepare(Experiment(**spec(name)))
    state, setting.work.round = setting.algorithm.start(first_parameters(setting), setting.work), 1
    setting.channel.begin_round(1)
    for phase in setting.algorithm.phases * 2:
        kept = [part.clone() for part in tensors_in(state)]
        before, world = state, setting.work if phase == "learn" else setting.channel
        state = getattr(setting.algorithm, phase)(state, world)
        assert all(torch.equal(old, now) for old, now in zip(kept, tensors_in(before), strict=True))


def tensors_in(state):
    """All of a state's tensors, those in tuples, too."""
    if torch.is_tensor(state):
        return [state]
    return [found for part in state for found in tensors_in(part)] if isinstance(state, tuple) else []


@pytest.mark.parametrize("name", algorithm.entries)
def test_training_lowers_the_loss(name):
    training = SMALL["training"] | {"epochs": 4}
    measures = [
        s.measures for s in simulate(Experiment(**spec(name, training=training, topology="complete", rounds=10)))
    ]
    assert measures[-1]["loss_mean"] < 0.9 * measures[0]["loss_mean"]  # test loss, of 20 samples a device


@pytest.mark.parametrize("name", algorithm.entries)
def test_alone_every_algorithm_is_sgd(name):
    """With one device there is nobody to cooperate with: all are SGD with the spec's momentum on its data.

    But for a momentum of their own, and last rounds in which nobody learns: here 0.
    """
    alone = spec(name, devices=1, topology="complete", dtype="float64")
    own = {key: 0 for key in ("momentum", "final_rounds") if key in algorithm.entry(name).options}
    settings = alone | {"algorithm": {"name": name, **own}}
    torch.testing.assert_close(models(settings)[-1], models(alone | {"algorithm": "isolated"})[-1], rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", algorithm.entries)
def test_the_last_snapshot_says_finished_and_costs_never_fall(name):
    seen = list(simulate(Experiment(**spec(name))))
    assert [s.status for s in seen[:-1]] == ["running"] * (len(seen) - 1)
    assert seen[-1].status == "finished"
    sent = [s.measures["bytes_sent"] for s in seen]
    assert sent == sorted(sent)
    assert (sent[-1] > 0) == (name not in ("isolated", "centralized"))


@pytest.mark.parametrize("name", initialization.entries)
@pytest.mark.parametrize("graph", ["ring", "star", "one_peer_exponential"])
def test_every_initialization_gives_finite_rows_and_only_pays_for_messages(name, graph):
    setting = prepare(Experiment(**SMALL | {"initialization": name, "topology": graph, "devices": 8}))
    x = first_parameters(setting)
    assert x.shape == setting.draw().shape
    assert torch.isfinite(x).all()
    asks = "channel" in initialization.entry(name).given
    assert (setting.channel.bytes_sent > 0) <= asks
    assert setting.channel.bytes_sent == setting.channel.messages * x.shape[1] * 4


def test_shared_and_rescaled_starts_are_what_they_say():
    setting = prepare(Experiment(**SMALL | {"initialization": "shared"}))
    assert len(first_parameters(setting).unique(dim=0)) == 1
    setting = prepare(Experiment(**SMALL | {"initialization": "averaged_rescaled"}))
    torch.testing.assert_close(first_parameters(setting).norm(dim=1), setting.draw().norm(dim=1))
    setting = prepare(Experiment(**SMALL | {"initialization": "centrality_gain", "topology": "complete"}))
    torch.testing.assert_close(first_parameters(setting), setting.draw() * 6**0.5)


@pytest.mark.parametrize("rule", [r for r, e in mixing.entries.items() if e.traits["stochastic"] == "column"])
def test_column_stochastic_weights_are_refused_by_those_that_do_not_divide(rule):
    for name, entry in algorithm.entries.items():
        if "row stochastic" in entry.traits.get("needs", ()):
            with pytest.raises(SpecError, match=f"'{name}' needs row stochastic.*'{rule}' is column"):
                prepare(Experiment(**SMALL | {"algorithm": name, "mixing": rule}))


def test_affinity_without_learning_is_a_smaller_self_weight():
    """x + eta_b (heard - x) after mixing is W' x with off-diagonal weights larger by one factor a row."""
    quiet = {"lr": 1e-30, "momentum": 0.0}
    plain = SMALL | {
        "topology": "star",
        "initialization": "independent",
        "dtype": "float64",
        "training": quiet,
        "rounds": 1,
    }
    eta = 0.3
    setting = prepare(Experiment(**plain))
    x = setting.draw()
    weights = torch.from_numpy(setting.channel.transmission.next().weights.matrix().toarray())
    own = weights.diagonal()[:, None]
    heard = (weights - torch.diag(weights.diagonal())) / (1 - own)
    expected = weights @ x + eta * (heard @ x - weights @ x)
    found = models(plain | {"algorithm": {"name": "p2pl", "eta_b": eta}})[-1]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_affinity_in_learning_adds_its_drift_in_equal_parts():
    quiet = {"lr": 1e-30, "momentum": 0.0, "batch_size": 7}
    plain = SMALL | {"initialization": "independent", "dtype": "float64", "training": quiet, "rounds": 2}
    *_, mixed, learned, _ = models(plain | {"algorithm": {"name": "p2pl", "eta_d": 0.5}})
    start = prepare(Experiment(**plain)).draw()
    left, right = start.roll(1, dims=0), start.roll(-1, dims=0)
    torch.testing.assert_close(learned - mixed, 0.5 * ((left + right) / 2 - mixed), rtol=0, atol=1e-12)


def test_consensus_steps_are_powers_of_the_weights():
    quiet = {"lr": 1e-30, "momentum": 0.0}
    plain = SMALL | {
        "initialization": "independent",
        "dtype": "float64",
        "training": quiet,
        "rounds": 1,
        "topology": "star",
    }
    weights = torch.from_numpy(prepare(Experiment(**plain)).channel.transmission.next().weights.matrix().toarray())
    found = models(plain | {"algorithm": {"name": "p2pl", "consensus_steps": 3}})
    torch.testing.assert_close(found[-1], weights @ weights @ weights @ found[0], rtol=0, atol=1e-12)


def test_a_mixed_velocity_is_mixed_and_paid_for():
    kept = list(simulate(Experiment(**SMALL)))[-1]
    mixed = list(simulate(Experiment(**SMALL | {"algorithm": {"name": "p2pl", "mix_velocity": True}})))[-1]
    sync = 3 * 12 * kept.models.shape[1] * 4
    assert mixed.measures["bytes_sent"] - sync == 2 * (kept.measures["bytes_sent"] - sync)
    assert not torch.equal(kept.models, mixed.models)


def test_fedavg_trains_and_pays_only_those_chosen():
    seen = list(simulate(Experiment(**SMALL | {"algorithm": {"name": "fedavg", "participation": 0.34}})))
    for before, after in zip(seen[0::2], seen[1::2], strict=False):
        changed = (before.models != after.models).any(dim=1)
        assert changed.sum() == 2
    assert seen[-1].measures["messages"] == 3 * 2 * 2


def test_intermittent_cooperation_is_by_rounds_whatever_the_consensus_steps():
    """Rounds 2 and 4 of 5 cooperate, with both of their mixing steps; the election of round 0 does too."""
    often = SMALL | {"algorithm": {"name": "p2pl", "consensus_steps": 2}, "rounds": 5}
    seen = list(simulate(Experiment(**often | {"failures": {"name": "intermittent", "every": 2}})))
    sent = [s.measures["messages"] for s in seen if s.phase != "learn"]
    assert np.diff(sent).tolist() == [0, 24, 0, 24, 0]
    assert sent[0] == 3 * 12


def test_a_mixed_velocity_loses_packets_of_its_own():
    """A message of parameters and velocities has twice the packets; every part of both is mixed."""
    spec = SMALL | {
        "algorithm": {"name": "p2pl", "mix_velocity": True},
        "failures": {"name": "lost_packets", "rate": 0.0},
    }
    plain = models(spec | {"failures": None})
    assert all(torch.equal(a, b) for a, b in zip(models(spec), plain, strict=True))
    lossy = models(spec | {"failures": {"name": "lost_packets", "rate": 0.4}})
    assert torch.isfinite(lossy[-1]).all()
    assert (lossy[-1] - plain[-1]).abs().max() < 1


def test_what_is_under_way_at_the_end_of_the_initialization_is_dropped():
    """Messages of the start hold parameters alone, those of the rounds velocities too: the two do not mix."""
    delayed = {"algorithm": {"name": "p2pl", "mix_velocity": True}, "failures": "delay", "initialization": "averaged"}
    start, learned, mixed, *_ = models(SMALL | delayed)
    assert not torch.equal(start, learned)
    assert torch.equal(learned, mixed)


def test_the_distance_to_the_optimum_is_told_only_where_it_is_known():
    linear = {"name": "mlp", "hidden": [], "bias": False, "parametrization": "ntk"}
    spec = {"dataset": "least_squares", "loss": "mse", "rounds": 0}
    (ntk,) = simulate(Experiment(**spec, model=linear))
    (standard,) = simulate(Experiment(**spec, model="linear"))
    assert ntk.measures["distance_to_optimum"] is None
    assert standard.measures["distance_to_optimum"] > 0


@pytest.mark.parametrize("sizes", ["equal", {"name": "power_law", "exponent": 0.7}, {"name": "one_rich", "share": 0.8}])
@pytest.mark.parametrize("training", [{}, {"steps": 5}, {"epochs": 2}, {"batch_size": "full"}])
def test_a_device_learns_the_same_alone_and_beside_others(sizes, training):
    """With unequal data they take unequal numbers of steps, of unequal batches; a drift is shared among their own."""
    setting = prepare(Experiment(**SMALL | {"devices": 7, "sizes": sizes, "training": training, "dtype": "float64"}))
    work, x = setting.work, setting.draw()
    work.round = 1
    velocity, drift = torch.randn(x.shape, dtype=x.dtype), torch.randn(x.shape, dtype=x.dtype)
    together = work.train(x, velocity, drift=drift)
    for k in range(7):
        alone = work.train(x, velocity, devices=np.array([k]), drift=drift)
        for whole, one in zip(together, alone, strict=True):
            torch.testing.assert_close(one[k], whole[k], rtol=0, atol=1e-13)
        others = np.arange(7) != k
        assert torch.equal(alone[0][others], x[others])


@pytest.mark.parametrize("name", algorithm.entries)
def test_a_state_is_no_larger_than_is_said(name):
    """What is reserved before a run begins: (K, P) tensors of the state, one more for each graph of a period."""
    varying = {"topology": "one_peer_exponential", "mixing": "push_sum", "devices": 8}
    for change in ({}, varying if "periodic" in algorithm.entry(name).traits.get("needs", ()) else {}):
        experiment = Experiment(**spec(name) | change)
        (*_, last), setting = simulate(experiment.replace(rounds=7)), prepare(experiment)
        parts = [one for part in last.state for one in (part if isinstance(part, tuple) else [part])]
        whole = sum(part.numel() for part in parts if torch.is_tensor(part)) / last.models.numel()
        said = tensors_of(experiment, setting.scenario.network)
        assert said - 1 <= whole <= said + 0.01
