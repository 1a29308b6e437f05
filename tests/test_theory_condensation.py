"""Condensed modes and settled disagreement, against dense eigenvalues and linear solutions, over topologies."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from linear_rounds import DEVICES, curves, features, weigh

from p2pl.registry import SpecError
from theory.condensation import condensed_modes, settled
from theory.crossing import Crossings
from theory.curvature import Curvature, curvature
from theory.modes import disagreement, reversible, slow_modes
from theory.rounds import Round, Rule

GRAPHS = ["ring", "path", "star", "complete", "erdos_renyi"]
EACH, PARAMETERS = 6, 12


def problem(devices: int) -> tuple[Curvature, np.ndarray]:
    """More samples than parameters: devices never agree. And the samples' targets."""
    rng = np.random.default_rng(devices)
    own = np.repeat(rng.standard_normal((devices, PARAMETERS)), EACH, axis=0) + 0.5 * rng.standard_normal(PARAMETERS)
    phi = rng.standard_normal((devices * EACH, PARAMETERS)) + own
    rows = np.split(np.arange(len(phi)), devices)
    return curvature(phi @ phi.T, rows, 2 / EACH), rng.standard_normal(len(phi))


def slowest(model: Curvature, weights: np.ndarray, rule: Rule, count: int) -> np.ndarray:
    exact = np.linalg.eigvals(Round(model, weights, rule).matrix())
    return 1 - np.sort(exact[np.abs(exact.imag) < 1e-9].real)[::-1][:count]


@pytest.mark.parametrize("rule", [{}, {"order": "dgd"}, {"steps": 3}, {"order": "dgd", "momentum": 0.5}], ids=str)
@pytest.mark.parametrize("topology", ["ring", "star"])
def test_condensed_decays_are_right_to_a_percent_at_half_the_inverse_curvature(topology, rule):
    """For every order: where the second order of dgd is right at eta L = .15 only."""
    model, weights = curves(features(rows=20, parameters=8)), weigh(topology, "p2pl")
    used = Rule(0.5 * (1 - rule.get("momentum", 0)) / rule.get("steps", 1) / model.largest, **rule)
    decays = 1 - condensed_modes(model, weights, used).rates[:3]
    np.testing.assert_allclose(decays, slowest(model, weights, used, 3), rtol=0.01)


@pytest.mark.parametrize("order", ["atc", "dgd"])
@pytest.mark.parametrize("devices", [8, 20])
@pytest.mark.parametrize("topology", GRAPHS)
def test_decays_err_by_less_than_they_say_at_any_learning_rate(topology, devices, order):
    model, _ = problem(devices)
    weights = weigh(topology, devices=devices)
    for share in (0.05, 0.5):
        rule = Rule(share / model.largest, order=order)
        modes = condensed_modes(model, weights, rule)
        slow = modes.error[:4] < 0.3  # beyond it modes of the mean and of mixing are not to be told apart
        exact = slowest(model, weights, rule, 4)[slow]
        assert slow[0] or share == 0.5
        errors = np.abs((1 - modes.rates[:4][slow]) / exact - 1)
        assert (errors <= np.maximum(modes.error[:4][slow], 1e-9)).all()
        assert (errors[modes.error[:4][slow] < 0.01] < 0.01).all()


def test_the_second_order_errs_by_the_square_of_learning_in_times_of_mixing():
    """Its error falls 100-fold where the learning rate falls 10-fold; that of dgd is larger by (1 / l_2)^2 or so."""
    model, weights = curves(features(rows=20, parameters=8)), weigh("ring")
    errors = {
        (order, share): np.abs(
            (1 - slow_modes(model, weights, rule).second[0]) / slowest(model, weights, rule, 1)[0] - 1
        )
        for order in ("atc", "dgd")
        for share in (0.5, 0.05)
        for rule in [Rule(share / model.largest, order=order)]
    }
    for order in ("atc", "dgd"):
        assert errors[order, 0.5] / errors[order, 0.05] == pytest.approx(100, rel=0.5)
    assert errors["dgd", 0.5] > 0.01 > errors["atc", 0.5]


def test_momentum_and_the_error_it_brings():
    model, _ = problem(8)
    for order, steps, mu in (("atc", 1, 0.5), ("dgd", 2, 0.9), ("cta", 1, 0.9)):
        rule = Rule(0.5 * (1 - mu) / steps / model.largest, steps, mu, order=order)
        modes = condensed_modes(model, weigh("ring", devices=8), rule)
        errors = np.abs((1 - modes.rates[:2]) / slowest(model, weigh("ring", devices=8), rule, 2) - 1)
        assert (errors < modes.error[:2]).all()
        assert errors[0] < 0.01


@pytest.mark.parametrize("order", ["atc", "cta", "dgd"])
@pytest.mark.parametrize("devices", [8, 13, 20])
@pytest.mark.parametrize("topology", GRAPHS)
def test_disagreement_at_the_end(topology, devices, order):
    """That of settled displacements is exact; that at the mean is within (1 + X)^2, X = eta L |l / (1 - l)|."""
    (model, y), weights = problem(devices), weigh(topology, devices=devices)
    values, _, shares = reversible(weights, devices)
    left = 1.0 if order == "dgd" else values[1:]
    slow = np.abs(left / (1 - values[1:])).max()
    for share in (0.5, 0.1, 0.024 / max(slow, 0.1)):
        rule = Rule(share / model.largest, order=order)
        end = fixed(model, weights, rule, y)
        mean = shares @ end
        seen = float(shares @ np.square(end - mean).sum(axis=1))
        mean_moves = moves(model, rule, np.tile(mean, (devices, 1)), y)
        exact = disagreement(weights, settled(model, weights, rule, mean_moves), order)
        if slow < 1e-9:  # averaging all at once leaves nothing
            assert max(seen, exact) < 1e-15
            continue
        assert exact == pytest.approx(seen, rel=1e-6)
        off, bound = disagreement(weights, mean_moves, order) / seen, 1 + share * slow
        assert bound**-2 <= off <= bound**2
        if share * slow < 0.0245:
            assert off == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("order", ["atc", "dgd"])
@pytest.mark.parametrize("topology", ["ring", "star", "erdos_renyi"])
def test_settled_disagreement_is_right_while_the_mean_still_moves(topology, order):
    (model, y), weights = problem(8), weigh(topology, devices=8)
    rule, x, errors = Rule(0.3 / model.largest, order=order), np.zeros((8, model.size)), []
    for number in range(100):
        moved = moves(model, rule, x, y)
        x = weights @ x - moved if order == "dgd" else weights @ (x - moved)
        if number >= 30:
            mean = x.mean(axis=0)
            at_mean = settled(model, weights, rule, moves(model, rule, np.tile(mean, (8, 1)), y))
            errors.append(disagreement(weights, at_mean, order) / np.square(x - mean).sum(axis=1).mean() - 1)
    assert np.abs(errors).max() < 0.05


def moves(model: Curvature, rule: Rule, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What one step takes from each device."""
    slopes = [
        model.features[rows].T @ (model.features[rows] @ one - y[rows]) for one, rows in zip(x, model.rows, strict=True)
    ]
    return rule.lr * 2 / EACH * np.stack(slopes)


def fixed(model: Curvature, weights: np.ndarray, rule: Rule, y: np.ndarray) -> np.ndarray:
    """Where devices end after mixing, (K, r): x = W (x - B x + f), or W x - B x + f."""
    size = model.devices * model.size
    force = -moves(model, rule, np.zeros((model.devices, model.size)), y).reshape(-1)
    blocks = scipy.linalg.block_diag(
        *(rule.lr * 2 / EACH * model.features[rows].T @ model.features[rows] for rows in model.rows)
    )
    mixing, identity = np.kron(weights, np.eye(model.size)), np.eye(size)
    if rule.order == "dgd":
        solved = np.linalg.solve(identity - mixing + blocks, force)
    else:
        solved = np.linalg.solve(identity - mixing @ (identity - blocks), mixing @ force)
    return solved.reshape(model.devices, model.size)


def test_what_is_not_covered_is_refused():
    model, weights = curves(features()), weigh("ring")
    for message, rule in (
        ("mixed", Rule(1.0, momentum=0.5, velocity="mixed")),
        ("weight decay", Rule(1.0, weight_decay=0.1)),
        ("alone", Rule(3 / model.largest, steps=2)),
    ):
        with pytest.raises(SpecError, match=message):
            condensed_modes(model, weights, rule)
    with pytest.raises(SpecError, match="apart"):
        settled(model, np.eye(DEVICES), Rule(1.0), np.zeros((DEVICES, model.size)))


@pytest.mark.parametrize("rule", [{}, {"order": "dgd"}, {"steps": 5, "momentum": 0.9}], ids=str)
@pytest.mark.parametrize("topology", GRAPHS)
def test_followed_from_their_estimates_decays_are_exact(topology, rule):
    """20 devices at eta L = .5, a path among them, where estimates err by several percent."""
    model, _ = problem(20)
    weights = weigh(topology, devices=20)
    used = Rule(0.5 * (1 - rule.get("momentum", 0)) / rule.get("steps", 1) / model.largest, **rule)
    known = Crossings.of(model, weights[None], used)
    assert known is not None
    found = [known.rate(complex(estimate), used.lr) for estimate in condensed_modes(model, weights, used).rates[:4]]
    exact = np.linalg.eigvals(Round(model, weights, used).matrix())
    assert all(np.abs(exact - z).min() < 1e-11 for z in found)  # nan is none
    assert 1 - found[0].real == pytest.approx(slowest(model, weights, used, 1)[0], rel=1e-7)
