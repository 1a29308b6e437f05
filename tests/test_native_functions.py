"""The native engine's exp, erf and tanh, seen through networks that let a number through as it is."""

import numpy as np
import pytest
import torch
from autograd_loop import VALUES, problem

from p2pl.groups import Training
from p2pl.models.mlp import ACTIVATIONS
from p2pl.native.learner import NativeLearner

EVERY = torch.from_numpy(np.arange(0, 2**32, 59_999).astype(np.uint32).view(np.float32))  # bits that are equally far
SPECIAL = torch.tensor([0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, torch.inf, -torch.inf, torch.nan])
USUAL = torch.linspace(-12, 12, 50_001)
EDGES = (torch.tensor([[3.92], [9.02], [88.7]]) * torch.linspace(1 - 2e-6, 1 + 2e-6, 101)).flatten()
NUMBERS = torch.cat([EVERY, SPECIAL, USUAL, EDGES, -EDGES])
FINITE = NUMBERS[NUMBERS.abs() < 1e30]  # with squares that are not
TINY = 2.0**-126  # the least normal number


def test_the_numbers_are_of_every_kind():
    exponents = torch.frexp(NUMBERS[NUMBERS.isfinite() & (NUMBERS.abs() >= TINY)]).exponent.unique()
    assert exponents.tolist() == list(range(-125, 129))
    assert ((EVERY.abs() < TINY) & (EVERY != 0)).sum() > 100
    assert EVERY.isnan().sum() > 100


def outputs(library, widths, activation, row, inputs):
    module, data, *_ = problem([1], widths, Training(), activation=activation, bias=False)
    return NativeLearner(library, module, "cross_entropy", data).outputs(row[None], inputs[:, None])[0]


def values(library, activation, z):
    """By one hidden unit; all weights are one."""
    return outputs(library, [1, 1, 1], activation, torch.ones(2), z)[:, 0]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_values_for_all_floats(activation, libraries):
    exact = VALUES[activation](NUMBERS.double())
    for library in libraries:
        found = values(library, activation, NUMBERS)
        assert torch.equal(found.isnan(), exact.isnan())
        some = ~exact.isnan()
        z, a, b = NUMBERS[some].double(), found[some].double(), exact[some]
        scale = z.abs() if activation == "gelu" else b.abs()  # far below zero gelu is a difference
        error = torch.where(a == b, 0, (a - b).abs() - 5e-7 * scale)
        least = TINY if activation == "sigmoid" else 2.0**-148  # 1 / (1 + infinity) is zero
        assert error.max() <= least, (library.chosen, z[error.argmax()])
        if activation in ("relu", "identity"):
            assert torch.equal(a, b)
        if activation in ("tanh", "erf"):
            assert a.abs().max() == 1
            assert torch.equal(a.sign(), z.sign())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_for_all_floats(activation, libraries):
    """Numbers are the weights of hidden units that see one: a step's velocities are slopes times that of the output."""
    z = FINITE.double().requires_grad_()
    VALUES[activation](z).sum().backward()
    module, data, *_ = problem([1], [1, len(FINITE), 1], Training(), values=True, activation=activation)
    data.inputs.fill_(1)
    weight = 2.0**-60
    row = torch.cat([FINITE, torch.zeros(len(FINITE)), torch.full_like(FINITE, weight), torch.zeros(1)])[None]
    for library in libraries:
        new = torch.empty_like(row), torch.empty_like(row)
        NativeLearner(library, module, "mse", data).learn((row, None), new, np.arange(1), 1, None)
        velocity = new[1][0].double()
        slopes = velocity[: len(FINITE)] / (velocity[-1] * weight)
        assert (slopes - z.grad).abs().max() <= 1e-6, library.chosen


@pytest.mark.parametrize(("low", "high"), [(-90, 0), (-110, -80), (-3e38, -100), (-torch.inf, -torch.inf)])
def test_softmax_takes_exp_of_numbers_below_zero(low, high, libraries):
    """Numbers, there and back, are outputs for the input one: a step's velocities are exp of them by their sum."""
    numbers = torch.full((10,), low) if low == high else torch.linspace(low, high, 10_003)
    z = torch.cat([torch.zeros(2), numbers, numbers.flip(0)])
    exact = z.double().exp()
    module, data, *_ = problem([1], [1, len(z)], Training(), bias=False)
    data.inputs.fill_(1)
    data.targets.fill_(1)
    for library in libraries:
        new = torch.empty(1, len(z)), torch.empty(1, len(z))
        NativeLearner(library, module, "cross_entropy", data).learn((z[None], None), new, np.arange(1), 1, None)
        velocity = new[1][0].double()
        total = 1 / velocity[0]
        assert (total / exact.sum() - 1).abs() < 1e-5
        error = (velocity * total - exact)[2:].abs()
        unit = data.training.lr * data.training.momentum  # velocities are so many times theirs while it learns
        assert (error <= 3e-7 * exact[2:] + total * 2.0**-148 / unit).all(), library.chosen
        assert torch.equal(velocity[2:], velocity[2:].flip(0))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_result_does_not_depend_on_its_place(activation, libraries):
    """130 hidden units with one number each: whole vectors, whole chunks, and two more."""
    some = FINITE[::7]
    row = torch.cat([torch.ones(130), torch.eye(130).flatten()])
    for library in libraries:
        alone = values(library, activation, some)
        for numbers, expected in ((some, alone), (some.flip(0), alone.flip(0))):
            found = outputs(library, [1, 130, 130], activation, row, numbers)
            assert torch.equal(found, expected[:, None].expand(-1, 130))
