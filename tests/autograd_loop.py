"""One device's learning phase by autograd and torch.optim.SGD in float64, and learners held against it."""

import math

import numpy as np
import torch
from torch.nn import functional as F

from p2pl.batched import BatchedMLP
from p2pl.local_data import LocalData
from p2pl.models.mlp import MLP
from p2pl.native.learner import NativeLearner
from p2pl.training import TorchLearner

VALUES = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "gelu": F.gelu,
    "sigmoid": torch.sigmoid,
    "identity": lambda z: z,
}


def problem(sizes, widths, training, density=1.0, values=False, base=0.0, **options):
    """A module, data on devices with so many samples each, and (K, P) parameters, velocities and drifts.

    density: what share of the inputs is not `base`.
    """
    rng = np.random.default_rng(3)
    torch.manual_seed(3)
    module = MLP(widths, **options)
    total = sum(sizes)
    different = rng.random((total, widths[0])) < density
    inputs = base + torch.from_numpy(rng.standard_normal((total, widths[0])) * different)
    classes = torch.from_numpy(rng.integers(0, widths[-1], total))
    targets = torch.from_numpy(rng.standard_normal((total, widths[-1]))).float() if values else classes
    shards = np.split(rng.permutation(total), np.cumsum(sizes)[:-1])
    data = LocalData(inputs.float(), targets, shards, training, 1)
    row = torch.cat([p.detach().reshape(-1) for p in module.parameters()])
    x, velocity, drift = (torch.randn(len(sizes), len(row)) for _ in range(3))
    return module, data, row + 0.05 * x, 0.1 * velocity, 0.01 * drift


def plain(module, data, loss, device, round, x, velocity, drift):
    """One device's phase by autograd and torch.optim.SGD in float64. Also how near to zero a hidden z ever came."""
    x, velocity = x.double(), velocity.double()
    weights = [p.detach().double().requires_grad_() for p in module.parameters()]
    places = [part.view_as(w) for part, w in zip(x.split([w.numel() for w in weights]), weights, strict=True)]
    training, nearest, batches = data.training, math.inf, list(data.batches(device, round))
    optimizer = torch.optim.SGD(
        weights,
        training.lr,
        training.momentum,
        weight_decay=training.weight_decay,
        nesterov=training.nesterov,
    )
    for weight, place, speed in zip(weights, places, velocity.split([w.numel() for w in weights]), strict=True):
        weight.data.copy_(place)
        optimizer.state[weight]["momentum_buffer"] = speed.view_as(weight).clone()
    for rows in batches:
        h, each = data.inputs[rows].double(), iter(weights)
        for layer, (scale, bias_scale) in enumerate(module.scales):
            if layer:
                nearest = min(nearest, h.abs().min().item() / max(1, h.abs().max().item()))
                h = VALUES[module.activation](h)
            h = scale * h @ next(each).T + (bias_scale * next(each) if module.layers[0].bias is not None else 0)
        target = data.targets[rows]
        if loss == "mse" and not target.is_floating_point():
            target = F.one_hot(target, h.shape[1])
        value = F.cross_entropy(h, target) if loss == "cross_entropy" else F.mse_loss(h, target.double())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if drift is not None:
            for weight, part in zip(weights, drift.double().split([w.numel() for w in weights]), strict=True):
                weight.data += part.view_as(weight) / len(batches)
    speeds = [optimizer.state[w]["momentum_buffer"] for w in weights] if training.momentum else [velocity]
    return *(torch.cat([t.detach().reshape(-1) for t in parts]) for parts in (weights, speeds)), nearest


def check(learners, loss, module, data, x, velocity, drift):
    """Every learner against the plain loop, device by device."""
    for learner in learners:
        found = torch.empty_like(x), torch.empty_like(velocity)
        learner.learn((x, velocity), found, np.arange(len(x)), 2, drift)
        for k in range(len(x)):
            moving = None if drift is None else drift[k]
            *expected, nearest = plain(module, data, loss, k, 2, x[k], velocity[k], moving)
            if module.activation == "relu" and nearest < 2e-7:
                continue  # its slope may be taken on the other side
            for one, other, tolerance in zip(found, expected, (1e-6, 5e-6), strict=True):
                error = (one[k].double() - other).norm() / (other.norm() + 1e-3)
                assert error < tolerance, (learner.name, k, error)


def learners_of(libraries, module, data, loss):
    torch_form = TorchLearner(BatchedMLP(module, loss, module.layers[-1].out_features), data)
    return [torch_form, *(NativeLearner(one, module, loss, data) for one in libraries)]


OPTIONS = {
    "plain": {},
    "no momentum": {"momentum": 0.0},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "weight decay": {"weight_decay": 0.1},
    "nesterov with weight decay": {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1},
    "weight decay without momentum": {"momentum": 0.0, "weight_decay": 0.1},
}
