"""Where growth begins, with momentum and over several steps: exactly, from below, and never under what is certified."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from linear_rounds import DEVICES, curves, features, radius, weigh

from theory.certified import certified_share
from theory.crossing import Crossings
from theory.curvature import Curvature, curvature
from theory.onset import growth_onset
from theory.rounds import Round, Rule, weights_of

HEAVY = [{"momentum": 0.9}, {"momentum": 0.5, "steps": 3}, {"momentum": 0.9, "steps": 5}]


def devices_apart(seed: int, devices: int = 8, keep: int = 4) -> Curvature:
    """Devices that see much of one direction each, and something of all: more than 300 coordinates with momentum."""
    rng = np.random.default_rng(seed)
    own = np.repeat(rng.standard_normal((devices, 60)), 10, axis=0) * rng.uniform(0.2, 2, (10 * devices, 1))
    phi = rng.standard_normal((10 * devices, 60)) * np.linspace(1.5, 0.1, 60) + own + 0.5 * rng.standard_normal(60)
    return curvature(phi @ phi.T, np.split(np.arange(10 * devices), devices), 0.1, keep)


def largest(model: Curvature, weights: np.ndarray, rule: Rule) -> float:
    return float(np.abs(np.linalg.eigvals(Round(model, weights, rule).matrix())).max())


@pytest.mark.parametrize("least", [0.4, 0.0, -0.3, -0.9])
def test_without_momentum_what_is_certified_is_known(least):
    assert certified_share(Rule(1.0), least) == pytest.approx(2, rel=0.01)
    assert certified_share(Rule(1.0, steps=4), least) == pytest.approx(2, rel=0.01)
    assert certified_share(Rule(1.0, momentum=0.5, velocity="reset"), least) == pytest.approx(2, rel=0.01)
    assert certified_share(Rule(1.0, order="dgd"), least) == pytest.approx(1 + least, rel=0.04)


@pytest.mark.parametrize("options", [*HEAVY, {"momentum": 0.9, "steps": 3, "velocity": "reset"}], ids=str)
@pytest.mark.parametrize("order", ["atc", "cta", "dgd"])
def test_nothing_grows_below_what_is_certified(order, options):
    rule, rng = Rule(1.0, order=order, **options), np.random.default_rng(0)
    for seed, topology in enumerate(["ring", "star", "path", "complete"]):
        phi, weights = features(seed) * rng.uniform(0.2, 2, (20, 1)), weigh(topology)
        share = certified_share(rule, float(np.linalg.eigvalsh(weights)[0]))
        assert share > 0
        for part in (1.0, 0.9, 0.6, 0.3, 0.1):
            assert radius(phi, [weights], replace(rule, lr=part * share / curves(phi).largest)) <= 1 + 1e-9


def test_what_is_certified_for_averages_of_all_is_nearly_what_some_need():
    """Heavy ball over 5 steps on the complete graph: devices that differ enough grow 3 % above it."""
    rule = Rule(1.0, steps=5, momentum=0.9)
    share = certified_share(rule, 0.0)
    onsets = []
    for seed in range(3):
        model = devices_apart(seed)
        onsets.append(growth_onset(model, weigh("complete", devices=8), rule, 1e-3) * model.largest)
    assert min(onsets) >= share
    assert share < 0.75 * 2 * (1 + rule.momentum)
    assert min(onsets) < 1.03 * share


@pytest.mark.parametrize("options", [*HEAVY, {"momentum": 0.9, "weight_decay": 0.02}], ids=str)
@pytest.mark.parametrize("order", ["atc", "dgd"])
def test_a_mode_that_grows_is_followed_to_where_it_begins(order, options):
    phi, weights = features(3), weigh("ring", "p2pl")
    model, rule = curves(phi), Rule(1.0, order=order, **options)
    onset = growth_onset(model, weights, rule)
    crossings = Crossings.of(model, weights_of(weights, DEVICES), rule)
    above = replace(rule, lr=1.03 * onset)
    values = np.linalg.eigvals(Round(model, weights, above).matrix())
    grown = [complex(z) for z in values if abs(z) > 1 and z.imag >= 0]
    found = [crossings.onset(z, above.lr) for z in grown]
    assert found
    for lr in (lr for lr in found if lr == lr):
        values = np.abs(np.linalg.eigvals(Round(model, weights, replace(rule, lr=lr)).matrix()))
        assert np.abs(values - 1).min() < 1e-8
    assert np.nanmin(found) == pytest.approx(onset, rel=1e-9)


@pytest.mark.parametrize("topology", ["ring", "star", "complete"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("order", ["atc", "dgd"])
def test_weak_growth_is_found_behind_strong(order, seed, topology):
    """A heavy ball over 5 steps: modes that turn slowly and grow by little a round, beside many that hardly shrink."""
    model, weights = devices_apart(seed), weigh(topology, devices=8)
    rule = Rule(1.0, steps=5, momentum=0.9, order=order)
    onset = growth_onset(model, weights, rule, 1e-3)
    assert largest(model, weights, replace(rule, lr=1.002 * onset)) > 1
    for share in (0.3, 0.7, 0.9, 0.96, 0.998):
        assert largest(model, weights, replace(rule, lr=share * onset)) < 1 + 1e-9
