"""A linear model is its own linearization: the theory must then be the run, to rounding, whatever the options."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trajectories import worst

from p2pl import Experiment
from p2pl.engine import prepare
from p2pl.run import execute
from p2pl.scenario import stage
from theory.dynamics import Dynamics
from theory.predict import Way, predict

TIGHT = 1e-10
LINEAR = {
    "dataset": "digits",
    "devices": 6,
    "samples": 48,
    "partition": "classes",
    "topology": "erdos_renyi",
    "initialization": "shared",
    "model": {"name": "linear", "bias": True},
    "loss": "mse",
    "dtype": "float64",
    "evaluation": {"samples": 20},
    "training": {"lr": 0.3, "momentum": 0.9, "batch_size": "full", "steps": 3},
    "rounds": 5,
}

ALGORITHMS = [
    "p2pl",
    {"name": "p2pl", "mix_velocity": True, "consensus_steps": 2},
    {"name": "p2pl", "eta_b": 0.3, "eta_d": 0.4},
    {"name": "dsgd", "order": "atc"},
    {"name": "dsgd", "order": "cta"},
    "dgd",
]
NETWORKS = [
    {"topology": "ring"},
    {"topology": "star", "mixing": "metropolis"},
    {"topology": "directed_ring", "mixing": "uniform"},
    {"topology": "random_matching", "mixing": "uniform"},
    {"topology": "one_peer_exponential", "mixing": "prescribed"},
]
FAILURES = [
    None,
    {"name": "links", "rate": 0.4},
    {"name": "links", "rate": 0.4, "symmetric": False},
    {"name": "bursts", "loss": 0.3, "length": 2.0},
    {"name": "delay", "steps": 2},
    {"name": "lost_packets", "rate": 0.3},
    [{"name": "lost_packets", "rate": 0.3}, {"name": "delay", "steps": 1}],
    [{"name": "churn", "rate": 0.3}, {"name": "intermittent", "every": 2}],
]
STARTS = ["shared", "independent", {"name": "max_norm", "fraction": 0.4}, "averaged_rescaled"]
PASSES = [
    {"batch_size": "full"},
    {"batch_size": "full", "steps": 4},
    {"batch_size": 3},
    {"batch_size": 5, "epochs": 2},
    {"batch_size": 3, "steps": 2},
]
PULLS = [
    {"momentum": 0.0},
    {"momentum": 0.9},
    {"momentum": 0.9, "velocity": "reset"},
    {"momentum": 0.8, "nesterov": True},
]


@settings(deadline=None, max_examples=80)
@given(
    algorithm=st.sampled_from(ALGORITHMS),
    network=st.sampled_from(NETWORKS),
    failures=st.sampled_from(FAILURES),
    start=st.sampled_from(STARTS),
    phase=st.sampled_from(PASSES),
    pull=st.sampled_from(PULLS),
    decay=st.sampled_from([0.0, 0.1]),
    sizes=st.sampled_from(["equal", "power_law"]),
    cuts=st.sets(st.integers(1, 4), max_size=2),
    seed=st.integers(0, 5),
)
def test_every_combination_of_options(algorithm, network, failures, start, phase, pull, decay, sizes, cuts, seed):
    spec = LINEAR | network | {"algorithm": algorithm, "failures": failures, "initialization": start, "sizes": sizes}
    training = {"lr": 0.2, "weight_decay": decay, **phase, **pull}
    spec |= {"training": training, "evaluation": {"samples": 20, "every": 1 + seed % 2}, "seed": seed}
    assert worst(spec, cuts) < TIGHT


@pytest.mark.parametrize(
    "changes",
    [
        {"algorithm": "fedavg", "partition": "iid"},
        {"algorithm": {"name": "fedavg", "participation": 0.5}, "sizes": "power_law"},
        {"algorithm": "isolated", "training": LINEAR["training"] | {"weight_decay": 0.1}},
        {"algorithm": "centralized"},
        {"devices": 1, "topology": "complete", "partition": "iid"},
        {"model": {"name": "mlp", "hidden": [], "parametrization": "ntk"}},
        {"dataset": "mnist5k"},
        {"rounds": 70},
        {"training": LINEAR["training"] | {"lr": 3.0}},
    ],
    ids=str,
)
def test_other_ends_of_the_same(changes):
    assert worst(LINEAR | changes) < TIGHT


def test_a_linear_regression_with_its_known_optimum():
    spec = LINEAR | {"dataset": {"name": "least_squares", "groups": 6, "heterogeneity": 1.0}, "samples": None}
    spec |= {"model": "linear", "evaluation": {}, "training": {"lr": 0.02, "momentum": 0.5, "batch_size": 8}}
    experiment = Experiment.of(spec)
    run, theory = execute(prepare(experiment)), predict(stage(experiment), Way())
    assert len(run.rows) == len(theory.rows) == 11
    for ours, theirs in zip(theory.rows, run.rows, strict=True):
        exact = {name: value for name, value in theirs.items() if value is None or isinstance(value, str)}
        close = {name: pytest.approx(theirs[name], rel=TIGHT, abs=TIGHT) for name in theirs.keys() - exact.keys()}
        assert ours == exact | close
    assert theory.rows[-1]["distance_to_optimum"] < theory.rows[0]["distance_to_optimum"]


def test_one_device_in_continuous_time_is_the_closed_form():
    """f_0 + Theta(., X) Theta^-1 (I - exp(-eta Theta t / n)) (y - f_0), n the number of outputs that the loss averages.

    As `gradient_descent_mse` of neural-tangents has it (Lee et al., NeurIPS 2019, equation 10), with torch's factor 2.
    """
    spec = LINEAR | {"devices": 1, "topology": "complete", "partition": "iid", "samples": 30}
    spec |= {"model": {"name": "mlp", "hidden": [40], "activation": "tanh", "parametrization": "ntk"}}
    spec |= {"training": {"lr": 0.5, "momentum": 0.0, "batch_size": "full", "steps": 3}}
    dynamics = Dynamics(stage(Experiment.of(spec)), continuous=True)
    about, (*_, last) = dynamics.expansion, dynamics.moments()
    kernel, cross = about.gram, about.cross
    assert torch.linalg.cond(kernel) < 1e8
    rate = 0.5 * 2 / len(kernel)
    values, basis = torch.linalg.eigh(kernel)
    grown = basis @ torch.diag(-torch.expm1(-rate * values * 3 * 5)) @ basis.T
    residual = dynamics.samples.targets.reshape(-1) - about.train_outputs
    for found, start, rows in ((last.train, about.train_outputs, kernel), (last.test, about.test_outputs, cross.T)):
        wanted = start + rows @ torch.linalg.solve(kernel, grown @ residual)
        torch.testing.assert_close(found.reshape(-1), wanted, rtol=0, atol=1e-10)


def test_continuous_time_is_the_limit_of_small_steps():
    """Halving the step and doubling their number halves the distance to the flow."""
    spec = LINEAR | {
        "algorithm": "dgd",
        "rounds": 3,
        "model": {"name": "mlp", "hidden": [20], "parametrization": "ntk"},
    }

    def end(steps, **how):
        training = {"lr": 0.4 / steps, "momentum": 0.0, "batch_size": "full", "steps": steps, "weight_decay": 0.1}
        (*_, last) = Dynamics(stage(Experiment.of(spec | {"training": training})), **how).moments()
        return last.test

    flow = end(1, continuous=True)
    errors = [float((end(steps) - flow).norm()) for steps in (20, 40, 80)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.02)


def test_adapt_then_combine_is_combine_then_adapt_averaged_once_more():
    """theta_ATC(t) = W theta_CTA(t), of the theory itself, for a wide network."""
    spec = LINEAR | {"model": {"name": "mlp", "hidden": [30], "parametrization": "ntk"}, "topology": "star"}
    scenario = stage(Experiment.of(spec))
    weights = torch.from_numpy(scenario.channel().transmission.next().weights.matrix().toarray())
    ends = []
    for order in ("atc", "cta"):
        (*_, last) = Dynamics(stage(Experiment.of(spec | {"algorithm": {"name": "dsgd", "order": order}}))).moments()
        ends.append(last.test)
    assert (ends[0] - ends[1]).abs().max() > 1e-3
    torch.testing.assert_close(ends[0], torch.einsum("kj,jtc->ktc", weights, ends[1]), rtol=0, atol=1e-12)
