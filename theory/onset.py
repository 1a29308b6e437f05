"""The growth onset: the least learning rate at which linearized devices grow.

There the spectral radius of the round's operator passes 1. It need not rise with the learning rate: a heavy ball that
is kept while parameters are mixed comes round in phase with the mixing, grows in a band of rates, and is stable again
above it. So the search looks from below, several rates at once, by playing rounds from a random state, beginning where
`theory.certified` no longer rules growth out; and the first that grows is followed down to where it begins. Wide nets
that are not lazy pass it and may yet converge (catapult): it is an onset of growth, not divergence. Our derivation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from p2pl import registry
from p2pl.scenario import Scenario
from theory import rounds
from theory.certified import certified_share
from theory.crossing import Crossings
from theory.curvature import Array, Curvature, compressed, curvature
from theory.expansion import Expansion
from theory.playing import play
from theory.rounds import Round, Rule

DIRECTIONS = 8  # of a device's residual, those of largest curvature
PERCENT = 1e-3  # tolerance of `onset_of`
LOWEST, WIDEST = 0.03, 100.0  # of 2 (1 + mu) / L, the bound of a device alone: rates that are looked at
BAND, TOGETHER = 1.08, 6  # steps between rates that are played, and how many are at once
ARNOLDI, ROUNDING = 0.03, 0.3  # of the tolerance: how well eigenvalues are found, and what passes for no growth
FINEST = 1e-6  # what eigenvalues are found to at least: those of slow modes crowd at 1, and are ill conditioned
WIDEN = 1.25
MODES = 3  # that are followed
BELOW, LONGER = 1e-3, 900  # how far below an onset, and over how many rounds, others are looked for
EVALUATIONS = 100
NOISE = 0.3  # beside the last mode, where a search begins: another one may have overtaken it


def onset_of(scenario: Scenario, expansion: Expansion, keep: int | None = DIRECTIONS) -> float | None:
    """The learning rate above which a spec's linearized devices begin to grow, without failures of links.

    keep: directions of each device's residual, None for all. A few err by a percent or two, or by more where growth is
    weak: with momentum, or an even number of steps. None where there is no such number: for mini-batches, Nesterov's
    form, affinity, graphs drawn anew at each step, and algorithms without a graph; and where nothing grows at any rate
    that was tried.
    """
    rule, weights = rule_of(scenario), weights_of(scenario)
    if rule is None or weights is None:
        return None
    rows = tuple(np.arange(held.start, held.stop) for held in expansion.samples.held)
    bases = tuple(one.eigenvectors[:, -(keep or len(one.eigenvalues)) :].numpy() for one in expansion.spectra)
    theta, parts = compressed(expansion.gram.numpy(), rows, bases)
    curves = curvature(theta, parts, [2 / len(own) for own in rows])
    found = growth_onset(curves, weights, rule, PERCENT)
    return found if math.isfinite(found) else None


def growth_onset(
    curvature: Curvature,
    weights: ArrayLike | Sequence[ArrayLike],
    rule: Rule,
    tolerance: float = 1e-6,
    near: float | None = None,
    scan: bool = True,
) -> float:
    """The least learning rate at which the round grows, to a relative `tolerance`; `rule.lr` is not looked at.

    weights: (K, K), or a list of which one after another is used. scan: whether to look from below; a band of growth
    narrower than a step of BAND may be missed, and so may growth by less than a percent a round. If not, the search
    comes down from `near`, e.g. a neighbour's onset, or from the bound of a device alone: quicker, and the same where
    growth does not come in bands. Infinite if nothing grows up to WIDEST times that bound.

    What grows at the first rate that does is followed to where it begins by `theory.crossing`, to rounding. Where that
    does not cover the round, and without momentum or a scan, the search comes down by eigenvalues: by secants of
    (radius)^(1/tau), nearly linear in the rate, until the line through two growing rates is zero within the tolerance
    of the lower. Above the onset what grows stands apart; below, slow modes crowd at 1 and say nothing.
    """
    stack = rounds.weights_of(weights, curvature.devices)
    excess = excess_of(curvature, stack, rule, min(ARNOLDI * tolerance, FINEST))
    alone = 2 * (1 + rule.momentum) / (curvature.largest + rule.weight_decay)
    if not scan:
        return _descent(excess, WIDEN * (near or alone), tolerance, WIDEST * alone)
    crossings = Crossings.of(curvature, stack, rule) if rule.momentum else None  # else growth is real, and plain
    rate = lowest(curvature, stack, rule, crossings)
    while rate < WIDEST * alone:
        rates = rate * BAND ** np.arange(TOGETHER)
        growing, states = play(curvature, stack, rule, rates)
        for one in np.flatnonzero(growing):
            some = float(rates[one])
            found = first_crossing(crossings, stack, rule, some, states[one], tolerance) if crossings else math.nan
            if math.isfinite(found):
                return found
            if excess(some) > ROUNDING * tolerance:
                return _descent(excess, some, tolerance, math.inf)
        rate = rates[-1] * BAND
    return math.inf


def lowest(curvature: Curvature, stack: Array, rule: Rule, crossings: Crossings | None) -> float:
    """A learning rate below which nothing grows, or if none is known one that is low."""
    whole = curvature.largest + rule.weight_decay
    alone = 2 * (1 + rule.momentum) / whole
    if not rule.momentum and rule.order != "dgd" and bool((stack >= 0).all()):
        return alone
    share = certified_share(replace(rule, lr=1.0), round(float(crossings.values[-1]), 9)) if crossings else 0.0
    return max(LOWEST * alone, share / whole)


def first_crossing(
    crossings: Crossings, stack: Array, rule: Rule, rate: float, state: Array, tolerance: float
) -> float:
    """The least rate at which a mode began to grow that grows at `rate`; nan if there is none, or it is not found.

    state: after rounds at that rate. What grows faster hides what begins to grow earlier: so just below what was found
    many more rounds are played, until nothing grows there. Where a mode cannot be followed they halve the way down.
    """
    high, low = rate, rate / BAND
    while high > low * (1 + tolerance):
        modes = Round(crossings.curvature, stack, replace(rule, lr=high)).growing(state)[:MODES]
        if not modes:
            return math.nan
        found = [some for some in (crossings.onset(z, high) for z in modes) if some < high]
        high = min(found, default=high)
        probe = high * (1 - BELOW) if found else math.sqrt(low * high)
        (growing,), (later,) = play(crossings.curvature, stack, rule, [probe], LONGER)
        if growing:
            high, state, low = probe, later, min(low, probe / BAND)
        elif found:
            return high
        else:
            low = probe
    return high if tolerance >= BELOW else math.nan


def excess_of(curvature: Curvature, stack: Array, rule: Rule, accuracy: float) -> Callable[[float], float]:
    """By how much a local step grows at a learning rate: (radius)^(1/tau) - 1. Each search begins at the last mode."""
    noise = np.random.default_rng(0).standard_normal(rule.parts * curvature.devices * curvature.size)
    begin = [noise]

    def excess(lr: float) -> float:
        value, mode = Round(curvature, stack, replace(rule, lr=lr)).dominant(begin[0], accuracy)
        known = mode.real + mode.imag
        begin[0] = known / np.linalg.norm(known) + NOISE * noise / np.linalg.norm(noise)
        return float(abs(value) ** (1 / (rule.steps * len(stack))) - 1)

    return excess


def _descent(excess: Callable[[float], float], high: float, tolerance: float, limit: float) -> float:
    """Where `excess` turns positive, by secants through its positive values; halving where they lead astray.

    high: where to begin, or below, up to `limit`.
    """
    low, safe = 0.0, ROUNDING * tolerance
    while (grown := excess(high)) <= safe:
        low, high = high, high * WIDEN
        if high > limit:
            return math.inf
    before, root = None, high / math.sqrt(WIDEN)
    for turn in range(EVALUATIONS):
        if before is not None and before[1] > grown:
            root = high - grown * (before[0] - high) / (before[1] - grown)
            if root >= high / (1 + tolerance / 2):
                return max(root, low)
        if high <= low * (1 + tolerance):
            break
        guess = root * (1 + tolerance / 4)
        if not low < guess < high or turn % 4 == 3:
            guess = math.sqrt(max(low, high / 2) * high)
        found = excess(guess)
        if found > safe:
            before, (high, grown) = (high, grown), (guess, found)
        else:
            low = guess
    return math.sqrt(low * high)


def rule_of(scenario: Scenario) -> Rule | None:
    """What a round of the spec does, in the words of `theory.rounds`; None if it has no words for it."""
    training, algorithm = scenario.experiment.training, scenario.experiment.algorithm
    options = algorithm.options
    sizes = {len(shard) for shard in scenario.shards}
    whole = training.batch_size == "full" or int(training.batch_size) >= max(sizes)
    if not whole or training.nesterov or options.get("eta_d") or options.get("eta_b"):
        return None
    mixed = options.get("mix_velocity") and training.velocity == "kept"
    rule: dict[str, Any] = {
        "steps": training.steps or training.epochs or 1,
        "momentum": training.momentum,
        "velocity": "mixed" if mixed else training.velocity,
        "order": "dgd" if algorithm.name == "dgd" else options.get("order", "atc"),
        "weight_decay": training.weight_decay,
    }
    return Rule(lr=training.lr, **rule)


def weights_of(scenario: Scenario) -> list[np.ndarray] | None:
    """W of each round of a period, without failures; None without a graph, or without a period."""
    experiment, period = scenario.experiment, scenario.network.period
    if not experiment.uses_graph or period is None:
        return None
    sizes = np.array([len(shard) for shard in scenario.shards])
    each = [
        registry.mixing.call(experiment.mixing, graph=scenario.network.at(step), sizes=sizes).toarray()
        for step in range(period)
    ]
    mixings = experiment.algorithm.options.get("consensus_steps", 1)
    rounds = period // np.gcd(period, mixings)
    taken = [[each[(first * mixings + step) % period] for step in range(mixings)] for first in range(rounds)]
    return [np.linalg.multi_dot(some[::-1]) if mixings > 1 else some[0] for some in taken]
