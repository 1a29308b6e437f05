"""The onset of growth in networks that are trained, by plain torch; and a map of onsets from one kernel."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from p2pl.models.mlp import MLP
from p2pl.network import Network
from p2pl.registry import mixing
from theory.curvature import curvature
from theory.kernel import ntk
from theory.onset import growth_onset
from theory.onset_map import onset_map
from theory.rounds import Rule

DEVICES, EACH, ALPHA = 4, 6, 1024.0
SHARDS = np.split(np.arange(DEVICES * EACH), DEVICES)


def weigh(name: str, rule: str = "metropolis", devices: int = DEVICES) -> np.ndarray:
    matrix: np.ndarray = mixing.call(rule, graph=Network(name, devices).at(0), sizes=np.ones(devices)).toarray()
    return matrix


def network(seed: int) -> tuple[MLP, Tensor, Tensor]:
    """A relu network with two outputs, inputs whose mean is not zero, targets."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = MLP([8, 64, 2], parametrization="ntk").double()
        inputs = torch.randn(DEVICES * EACH, 8, dtype=torch.float64) + 0.5 * torch.arange(DEVICES).repeat_interleave(
            EACH
        ).unsqueeze(1)
        return module, inputs, torch.randn(DEVICES * EACH, 2, dtype=torch.float64)


def losses(module: MLP, inputs: Tensor, targets: Tensor, weights: np.ndarray, rule: Rule, rounds: int) -> list[float]:
    """Adapt, then combine: the mean loss of K networks f_0 + alpha (f - f_0), trained by torch at lr / alpha^2."""
    first = module(inputs).detach()
    mix = torch.from_numpy(weights)
    devices = [copy.deepcopy(module) for _ in SHARDS]
    optimizers = [torch.optim.SGD(m.parameters(), lr=rule.lr / ALPHA**2, momentum=rule.momentum) for m in devices]
    seen = []
    for _ in range(rounds):
        total = 0.0
        for shard, model, optimizer in zip(SHARDS, devices, optimizers, strict=True):
            for _ in range(rule.steps):
                optimizer.zero_grad()
                outputs = first[shard] + ALPHA * (model(inputs[shard]) - first[shard])
                loss = torch.nn.functional.mse_loss(outputs, targets[shard])
                loss.backward()
                optimizer.step()
            total += loss.item() / DEVICES
        with torch.no_grad():
            for parts in zip(*(model.parameters() for model in devices), strict=True):
                held = torch.einsum("kj,j...->k...", mix, torch.stack([p.detach() for p in parts]))
                for parameter, value in zip(parts, held, strict=True):
                    parameter.copy_(value)
        seen.append(total)
    return seen


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("steps", [1, 5])
def test_lazy_networks_converge_below_the_onset_and_grow_above_it(steps, momentum):
    module, inputs, targets = network(seed=steps)
    theta = ntk(module, torch.cat([p.detach().reshape(-1) for p in module.parameters()]), inputs, inputs).numpy()
    rows = [(2 * shard[:, None] + np.arange(2)).ravel() for shard in SHARDS]
    weights = weigh("ring")
    rule = Rule(1.0, steps=steps, momentum=momentum)
    onset = growth_onset(curvature(theta, rows, 2 / (EACH * 2)), weights, rule)
    below, above = (
        losses(module, inputs, targets, weights, Rule(share * onset, steps, momentum), 120) for share in (0.97, 1.03)
    )
    assert below[-1] < below[0] / 2
    assert max(below[60:]) <= max(below[:60])
    assert max(above) > 10 * max(below)  # and then, past the reach of the linearization, it may well come down


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_of_many_local_steps_the_most_curved_device_alone_decides(momentum):
    """What grows leaves the range of single precision within a round, and still counts as growth."""
    module, inputs, _ = network(seed=0)
    theta = ntk(module, torch.cat([p.detach().reshape(-1) for p in module.parameters()]), inputs, inputs).numpy()
    curves = curvature(theta, [(2 * shard[:, None] + np.arange(2)).ravel() for shard in SHARDS], 2 / (EACH * 2))
    onset = growth_onset(curves, weigh("ring"), Rule(1.0, steps=300, momentum=momentum))
    assert onset == pytest.approx(2 * (1 + momentum) / curves.largest, rel=0.02)


def test_a_map_is_the_onsets_one_by_one():
    rng = np.random.default_rng(0)
    phi = rng.standard_normal((80, 50)) + np.repeat(rng.standard_normal((8, 50)), 10, axis=0)
    theta, weights = phi @ phi.T, [weigh("ring"), weigh("star", "p2pl"), weigh("complete")]
    order = rng.permutation(80)
    splits = [np.split(np.where(np.arange(80) < mixed, order, np.arange(80)), DEVICES) for mixed in (0, 80)]
    found = onset_map(theta, splits, weights, Rule(1.0, steps=2), outputs=3, keep=None, tolerance=1e-4)
    for i, rows in enumerate(splits):
        for j, matrix in enumerate(weights):
            exact = growth_onset(curvature(theta, rows, 2 / 60), matrix, Rule(1.0, steps=2))
            assert found[i, j] == pytest.approx(exact, rel=2e-4)
    few, all_but_one = (
        np.abs(onset_map(theta, splits, weights, Rule(1.0, steps=2), outputs=3, keep=keep) / found - 1).max()
        for keep in (6, 19)
    )
    assert all_but_one < 0.005 < few < 0.1
