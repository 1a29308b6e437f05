"""The growth onset of a spec: below it the linearized devices settle, above it they grow."""

import pytest
from trajectories import HARD

from p2pl import Experiment
from p2pl.scenario import stage
from theory.dynamics import Dynamics

SPEC = HARD | {
    "devices": 6,
    "samples": 48,
    "failures": None,
    "model": {"name": "mlp", "hidden": [], "parametrization": "ntk"},
    "dtype": "float64",
    "evaluation": {"samples": 10},
}
ALTERNATING = {"topology": "one_peer_exponential", "mixing": "prescribed", "devices": 8}


def training(**options):
    return {"lr": 0.1, "momentum": 0.0, "batch_size": "full"} | options


def grows(spec, lr):
    """Whether the devices' outputs are further from the targets after 1,200 rounds than after 600."""
    changes = {"training.lr": lr, "rounds": 1200, "evaluation.every": 600}
    dynamics = Dynamics(stage(Experiment.of(spec).replace(**changes)))
    ends = {moment.round: float((moment.train - dynamics.samples.targets).norm()) for moment in dynamics.moments()}
    return ends[1200] > ends[600]


@pytest.mark.parametrize(
    "changes",
    [
        {"training": training()},
        {"training": training(steps=5)},
        {"training": training(steps=5, momentum=0.9)},
        {"training": training(steps=5, momentum=0.9, velocity="reset")},
        {"training": training(steps=5, momentum=0.9), "algorithm": "dgd"},
        {"training": training(momentum=0.9, weight_decay=0.1), "algorithm": {"name": "p2pl", "mix_velocity": True}},
        {"training": training(steps=2, momentum=0.5)} | ALTERNATING,
        {"training": training(steps=2), "algorithm": {"name": "p2pl", "consensus_steps": 2}} | ALTERNATING,
    ],
    ids=str,
)
def test_growth_begins_at_the_onset(changes):
    spec = SPEC | changes
    onset = Dynamics(stage(Experiment.of(spec))).facts()["growth_onset_lr"]
    assert not grows(spec, 0.97 * onset)
    assert grows(spec, 1.03 * onset)


def test_growth_comes_in_bands():
    """Momentum over several steps, kept while parameters are mixed: DGD grows early, and is stable again far above."""
    spec = SPEC | {"training": training(steps=5, momentum=0.9), "algorithm": "dgd"}
    onset = Dynamics(stage(Experiment.of(spec))).facts()["growth_onset_lr"]
    assert grows(spec, 1.05 * onset)
    assert not all(grows(spec, factor * onset) for factor in (4, 6, 8, 10))


@pytest.mark.parametrize(
    "changes",
    [
        {"training": training(batch_size=3)},
        {"training": training(momentum=0.9, nesterov=True)},
        {"training": training(), "algorithm": {"name": "p2pl", "eta_d": 0.5}},
        {"training": training(), "topology": "random_matching", "mixing": "uniform"},
        {"training": training(), "algorithm": "fedavg"},
    ],
    ids=str,
)
def test_where_there_is_no_such_number_none_is_given(changes):
    assert Dynamics(stage(Experiment.of(SPEC | changes))).facts()["growth_onset_lr"] is None
