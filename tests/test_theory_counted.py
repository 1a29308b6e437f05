"""Slow modes that are counted, against dense eigenvalues: none is passed over, on any graph."""

from __future__ import annotations

import numpy as np
import pytest
from linear_rounds import DEVICES, curves, features, weigh

from p2pl.registry import SpecError
from theory.condensation import condensed_modes
from theory.counted import Counted, slowest_modes
from theory.crossing import Crossings
from theory.curvature import Curvature, curvature
from theory.rounds import Round, Rule

RULES = [
    {},
    {"order": "dgd"},
    {"order": "cta", "steps": 3},
    {"steps": 5, "momentum": 0.9},
    {"order": "dgd", "momentum": 0.5},
    {"steps": 5, "momentum": 0.9, "velocity": "reset"},
]


def model_of(devices: int, each: int = 6, parameters: int = 12) -> Curvature:
    """More samples than parameters, unless `each` device has few: then some directions are learned by few or nobody."""
    rng = np.random.default_rng(devices)
    own = np.repeat(rng.standard_normal((devices, parameters)), each, axis=0) + 0.5 * rng.standard_normal(parameters)
    phi = rng.standard_normal((devices * each, parameters)) + own
    return curvature(phi @ phi.T, np.split(np.arange(len(phi)), devices), 2 / each)


def rule_of(model: Curvature, share: float, **options: object) -> Rule:
    """eta L = share, for as much as a round learns without momentum."""
    rule = Rule(1.0, **options)  # type: ignore[arg-type]
    return Rule(share * (1 - rule.momentum) / rule.steps / model.largest, **options)  # type: ignore[arg-type]


def dense(model: Curvature, weights: np.ndarray, rule: Rule) -> np.ndarray:
    """All real factors of a round, falling."""
    values = np.linalg.eigvals(Round(model, weights, rule).matrix())
    return np.sort(values[np.abs(values.imag) < 1e-7].real)[::-1]


@pytest.mark.parametrize("options", RULES, ids=str)
@pytest.mark.parametrize("devices", [8, 13, 20])
@pytest.mark.parametrize("topology", ["path", "ring", "star"])
def test_the_slowest_modes_are_those_of_the_dense_matrix(topology, devices, options):
    model = model_of(devices)
    for mixing in ("metropolis", "p2pl"):
        weights = weigh(topology, mixing, devices)
        for share in (0.5, 0.05):
            rule = rule_of(model, share, **options)
            found, exact = slowest_modes(model, weights, rule, 15), dense(model, weights, rule)
            np.testing.assert_allclose(found, exact[: len(found)], rtol=0, atol=1e-11)
            assert len(found) >= 10
            if len(found) < 15:  # the next is where counting does not hold
                assert exact[len(found)] <= Counted(Crossings.of(model, weights[None], rule)).least() + 1e-6


@pytest.mark.parametrize("order", ["atc", "dgd"])
def test_on_a_path_of_20_estimates_alone_pass_modes_over(order):
    """Why modes are counted: Newton's method finds one mode from two estimates, and never another of mixing."""
    model, weights = model_of(20), weigh("path", devices=20)
    rule = rule_of(model, 0.5, order=order)
    known = Crossings.of(model, weights[None], rule)
    led = [known.rate(complex(rate), rule.lr).real for rate in condensed_modes(model, weights, rule).rates[:4]]
    assert len(set(np.round(led, 9))) == 3
    assert any(np.abs(led - rate).min() > 1e-6 for rate in slowest_modes(model, weights, rule, 4))


@pytest.mark.parametrize("options", [{}, {"order": "dgd"}, {"momentum": 0.5}], ids=str)
@pytest.mark.parametrize("topology", ["star", "path", "ring"])
def test_modes_that_nobody_learns_are_counted_where_they_are(topology, options):
    """Two samples a device: many modes are eigenvalues of W, each as often as there are such directions."""
    model, weights = model_of(8, each=2, parameters=30), weigh(topology, "p2pl", 8)
    rule = rule_of(model, 0.5, **options)
    found, exact = slowest_modes(model, weights, rule, 60), dense(model, weights, rule)
    assert len(found) >= (12 if "momentum" in options else 40)
    np.testing.assert_allclose(found, exact[: len(found)], rtol=0, atol=1e-7)


def test_no_more_are_found_than_are_asked_for_and_none_where_modes_swing():
    model, weights = model_of(8), weigh("ring", devices=8)
    assert len(slowest_modes(model, weights, rule_of(model, 0.5), 3)) == 3
    assert not len(slowest_modes(model, weights, Rule(2 / model.largest, momentum=0.9), 3))


def test_what_is_not_covered_is_refused():
    model, weights = curves(features()), weigh("ring")
    directed = np.roll(np.eye(DEVICES), 1, axis=1) / 2 + np.eye(DEVICES) / 2
    for some, rule, message in (
        (weights, Rule(1.0, momentum=0.5, velocity="mixed"), "mixed velocities"),
        (weights, Rule(1.0, weight_decay=0.1), "weight decay"),
        (directed, Rule(1.0), "reversible"),
        (weights, Rule(3 / model.largest, steps=2, order="dgd"), "alone"),
    ):
        with pytest.raises(SpecError, match=message):
            slowest_modes(model, some, rule, 3)
