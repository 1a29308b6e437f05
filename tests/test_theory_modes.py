"""Slow modes, rounds and disagreement against dense eigenvalues and plain simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from linear_rounds import DEVICES, curves, features, plain_round, weigh

from theory.curvature import curvature
from theory.modes import disagreement, reversible, rounds_to, slow_modes
from theory.rounds import Round, Rule


@pytest.mark.parametrize("options", [{}, {"order": "dgd"}, {"steps": 3}, {"momentum": 0.5}, {"momentum": 0.9}], ids=str)
@pytest.mark.parametrize("weights", ["ring", "star"])
def test_slow_modes_to_second_order(options, weights):
    phi, w = features(rows=20, parameters=8), weigh(weights, "p2pl")
    model = curves(phi)
    tau, mu = options.get("steps", 1), options.get("momentum", 0.0)
    share = 0.15 if "order" in options else 0.5  # dgd, whose mixing does not smooth what is new, errs by more
    rule = Rule(share * (1 - mu) / tau / model.largest, **options)
    modes = slow_modes(model, w, rule)
    exact = np.linalg.eigvals(Round(model, w, rule).matrix())
    slow = np.sort(exact[np.abs(exact.imag) < 1e-9].real)[::-1]
    count = min(3, int(np.sum((1 - modes.first) * mu / (1 - mu) < 0.1)))
    assert count
    np.testing.assert_allclose(1 - modes.second[:count], 1 - slow[:count], rtol=0.01)


@pytest.mark.parametrize("order", ["atc", "dgd"])
def test_disagreement_after_mixing(order):
    phi = features(rows=40, parameters=12)
    rows = np.split(np.arange(40), DEVICES)
    y, weights = np.random.default_rng(5).standard_normal(40), weigh("ring")
    model = curvature(phi @ phi.T, rows, 2 / 8)
    x, lr = np.zeros((DEVICES, 12)), 0.03 / model.largest
    for _ in range(600):
        moved = [lr * 2 / 8 * phi[r].T @ (phi[r] @ x[k] - y[r]) for k, r in enumerate(rows)]
        x = weights @ x - np.stack(moved) if order == "dgd" else weights @ (x - np.stack(moved))
    mean = x.mean(axis=0)
    seen = ((x - mean) ** 2).sum(axis=1).mean()
    steps = np.stack([lr * 2 / 8 * phi[r].T @ (phi[r] @ mean - y[r]) for r in rows])
    assert disagreement(weights, steps, order) == pytest.approx(seen, rel=0.05)


def test_rounds_to_a_share_of_the_loss():
    phi = features(6, parameters=40)
    y, weights, model = np.random.default_rng(6).standard_normal(len(phi)), weigh("complete"), curves(phi)
    rule = Rule(0.3 / model.largest)
    predicted = rounds_to(slow_modes(model, weights, rule), -model.coordinates(y), 0.1)
    x, v, losses = np.zeros((DEVICES, 40)), np.zeros((DEVICES, 40)), []
    for _ in range(2 * int(predicted)):
        losses.append(np.square(x.mean(axis=0) @ phi.T - y).sum())
        x, v = plain_round(phi, weights, rule, x, v, y)
    assert predicted == pytest.approx(next(t for t, loss in enumerate(losses) if loss <= 0.1 * losses[0]), rel=0.02)
    assert rounds_to(slow_modes(model, weights, Rule(12 / model.largest)), model.coordinates(y), 0.1) == math.inf


def test_reversible_weights_are_rebuilt_from_their_parts():
    for name, rule in (("star", "p2pl"), ("ring", "metropolis"), ("path", "uniform")):
        weights = weigh(name, rule)
        values, shapes, shares = reversible(weights, DEVICES)
        np.testing.assert_allclose(shapes * values @ (shares[:, None] * shapes).T, weights, atol=1e-13)
        np.testing.assert_allclose(shapes[:, 0], 1, atol=1e-12)
