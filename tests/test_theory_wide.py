"""How well one linearization at the start predicts wide networks: a short version of the tables of docs/theory.md."""

import pytest
import torch
from trajectories import HARD, distance, foretold, seen

from p2pl import Experiment
from p2pl.models.lazy import Lazy
from p2pl.models.mlp import MLP
from theory.kernel import ntk


def errors(spec):
    """Largest relative errors of test outputs (of their change) and of train losses."""
    moments = list(zip(seen(Experiment.of(spec)), foretold(Experiment.of(spec)), strict=True))
    start = moments[0][0][3]
    outputs = [float((theory[3] - run[3]).norm() / (run[3] - start).norm()) for run, theory in moments[1:]]
    return max(outputs)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("dataset", ["digits", "mnist5k"])
def test_wide_relu_networks(dataset, seed):
    assert errors(HARD | {"dataset": dataset, "seed": seed, "rounds": 5, "evaluation": {"samples": 300}}) < 0.03


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_error_falls_as_one_over_alpha(seed):
    """Small learning rates as alpha^-2: the same curves, and parameters that move 1 / alpha as far."""
    spec = HARD | {"rounds": 3, "seed": seed, "samples": 64, "dtype": "float64"}
    found = []
    for alpha in (4.0, 16.0, 64.0):
        model = {"name": "mlp", "hidden": [256], "activation": "erf", "parametrization": "ntk", "alpha": alpha}
        training = HARD["training"] | {"lr": 0.3 / alpha**2}
        found.append(errors(spec | {"model": model, "training": training}))
    assert found[-1] < 1e-3
    assert found[0] / found[1] == pytest.approx(4, rel=0.2)
    assert found[1] / found[2] == pytest.approx(4, rel=0.1)


def test_a_lazy_networks_kernel_and_start():
    module = MLP([6, 5, 3], "tanh").double()
    lazy, samples = Lazy(module, 8.0), torch.randn(4, 6).double()
    vector = torch.nn.utils.parameters_to_vector(module.parameters()).detach()
    torch.testing.assert_close(lazy(samples), module(samples))
    assert distance(ntk(lazy, vector, samples, samples), 64 * ntk(module, vector, samples, samples)) < 1e-14
    moved = vector + 0.1
    torch.nn.utils.vector_to_parameters(moved, lazy.module.parameters())
    start = lazy.frozen(samples)
    torch.testing.assert_close(lazy(samples), start + 8 * (lazy.module(samples) - start))
