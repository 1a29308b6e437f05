"""The growth onset of a spec: the least learning rate at which its linearized devices grow.

The spectral radius of a round need not rise with the learning rate: a heavy ball over several local steps comes round
in phase with the mixing, grows in a band of rates, and is stable again above it. So rates are tried from below, many at
once, by playing rounds from a random state; what grows stands out, however slow modes crowd at 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from p2pl import registry
from p2pl.scenario import Scenario
from theory.curvature import Array, Curvature, curvature
from theory.expansion import Expansion
from theory.rounds import Rule, local_step

DIRECTIONS = 8  # of a device's residual, those of largest curvature: with twice as many the onset moves by a percent
RANGE = (0.03, 1.3)  # of the bound 2 (1 + mu) / L of a single device: rates that are tried first, then larger ones
WIDEST = 100.0  # of the same: mixing can hold together what would grow alone, but hardly beyond this
SEARCHES = ((50, 300), (10, 1000))  # rates tried, rounds played: of a range, then between two of them


def onset_of(scenario: Scenario, expansion: Expansion) -> float | None:
    """The learning rate above which a spec's linearized devices begin to grow, to a percent, without failures of links.

    None where there is no such number: for mini-batches, Nesterov's form, affinity, graphs drawn anew at each step, and
    algorithms without a graph; and where nothing grows at any rate that was tried.
    """
    rule, weights = rule_of(scenario), weights_of(scenario)
    if rule is None or weights is None:
        return None
    rows = [np.arange(held.start, held.stop) for held in expansion.samples.held]
    count = sum(map(len, rows))
    theta = expansion.gram[:count, :count].double().numpy()
    keep = min(DIRECTIONS, *map(len, rows))
    return first_growth(curvature(theta, rows, [2 / len(own) for own in rows], keep), weights, rule)


def first_growth(curves: Curvature, weights: Sequence[Array], rule: Rule) -> float | None:
    """The least rate that grows, to a percent; None if none does up to WIDEST. `rule.lr` is not looked at.

    A band of growth narrower than the steps of the first search (8 %) may be missed.
    """
    bound = 2 * (1 + rule.momentum) / curves.largest
    low, high = RANGE[0] * bound, RANGE[1] * bound
    for count, rounds in SEARCHES:
        while True:
            rates = np.geomspace(low, high, count)
            growing = np.flatnonzero(grows(curves, weights, rule, rates, rounds))
            if len(growing):
                break
            low, high = high, high * RANGE[1] / RANGE[0]
            if low > WIDEST * bound:
                return None
        low, high = rates[max(0, growing[0] - 1)], rates[growing[0]]
    return float(high)


def grows(curves: Curvature, weights: Sequence[Array], rule: Rule, rates: Array, rounds: int) -> np.ndarray:
    """(B,) whether a random state is larger after so many rounds than after half of them, at each of B rates."""
    each = [replace(rule, lr=rate) for rate in rates]
    steps = np.stack([local_step(curves.values + rule.weight_decay, one) for one in each], axis=-1)
    idle = np.stack([local_step(np.array([rule.weight_decay]), one)[..., 0] for one in each], axis=-1)
    gain, vectors = steps - idle[:, :, None, None], curves.vectors
    state = np.random.default_rng(0).standard_normal((rule.parts, curves.devices, curves.size, 1)) + 0 * rates
    grown = np.zeros(len(rates))
    for number in range(rounds):
        mixing = weights[number % len(weights)]
        inner = np.matmul(vectors.transpose(0, 2, 1), state)
        learned = np.matmul(vectors, (gain * inner).sum(axis=1)) + np.einsum("pqb,qkrb->pkrb", idle, state)
        if rule.order == "dgd":
            learned[0] += np.tensordot(mixing, state[0], 1) - state[0]
        else:
            learned[0] = np.tensordot(mixing, learned[0], 1)
        if rule.velocity == "mixed" and rule.parts == 2:
            learned[1] = np.tensordot(mixing, learned[1], 1)
        size = np.sqrt(np.square(learned).sum(axis=(0, 1, 2)))
        state = learned / size
        grown += np.log(size) * (number >= rounds // 2)
    return np.asarray(grown > 0)


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
