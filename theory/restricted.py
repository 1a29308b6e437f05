"""K multi-layer perceptrons whose first layer learns along the leading directions of the inputs only.

    W = W_0 + D U'     U (inputs, d): leading eigenvectors of X'X over the training samples; D (width, d) is learned
    W x = W_0 x + D U'x                                       W_0 x of every sample is computed once

Every gradient of W is a sum of rank-one terms g x' over samples: what it has along directions in which inputs hardly
vary moves no output much. So a few tens of directions stand for hundreds of inputs, at a fraction of the cost, and with
as many directions as the training inputs span nothing at all is left out. It is no linearization: features are learned,
devices may be as far apart as they like. Our construction.

Where devices start apart their W_0 are mixed like all else: each is a combination of the first ones, and its shares of
them are parameters that no sample moves.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pl.local_data import LocalData
from p2pl.losses import dense_targets
from p2pl.models.mlp import ACTIVATIONS, MLP
from p2pl.registry import SpecError
from p2pl.scenario import Scenario, tensors
from theory.batches import Plan, step
from theory.columns import Columns

DIRECTIONS = 64


class Inputs:
    """What all settings of one seed share: the directions, and the samples along them. directions: d, how many at most.

    Raises SpecError for a model that is no multi-layer perceptron.
    """

    def __init__(self, scenario: Scenario, directions: int = DIRECTIONS) -> None:
        if not isinstance(scenario.module, MLP):
            raise SpecError(
                f"model '{scenario.experiment.model.name}' is no multi-layer perceptron, whose first layer could be"
                " restricted to leading directions of the inputs: forecast it by the kernels of a path (--by path)"
            )
        known, dtype = scenario.data, scenario.dtype
        self.train, self.targets = tensors(known.x_train, known.y_train, dtype)
        tests = scenario.evaluated()
        self.test, self.test_targets = tensors(known.x_test[tests], known.y_test[tests], dtype)
        self.train, self.test = self.train.flatten(1), self.test.flatten(1)
        values, vectors = torch.linalg.eigh(self.train.double().T @ self.train.double())
        real = int((values > 1e-13 * values[-1]).sum())
        self.basis = vectors[:, -min(directions, real) :].to(dtype)
        self.along = torch.cat([self.train, self.test]) @ self.basis
        self.module: MLP = scenario.module
        experiment = scenario.experiment
        data = LocalData(self.train, self.targets, scenario.shards, experiment.training, experiment.seed)
        self.plan, self.wanted = Plan(data, dtype), dense_targets(self.targets, known.classes).to(dtype)


class Restricted:
    """The networks of one setting, from their starts (K, P); see `theory.forecast.Networks`."""

    def __init__(self, inputs: Inputs, scenario: Scenario, starts: Tensor) -> None:
        experiment = scenario.experiment
        self.inputs, self.training, self.loss = inputs, experiment.training, experiment.loss
        module, d = inputs.module, inputs.basis.shape[1]
        wide, self.width = inputs.train.shape[1], cast(nn.Linear, module.layers[0]).out_features
        size = wide * self.width
        origins, which = torch.unique(starts, dim=0, return_inverse=True)
        weights = origins[:, :size].view(-1, self.width, wide)
        samples = torch.cat([inputs.train, inputs.test])
        scale, _ = module.scales[0]
        self.still = torch.stack([scale * samples @ one.T for one in weights])  # (M, N + T, width)
        self.products = weights.flatten(1).double() @ weights.flatten(1).double().T
        self.projected = (weights.double() @ inputs.basis.double()).flatten(1)
        self.apart = len(origins) > 1 or self.training.weight_decay > 0
        self.activation = ACTIVATIONS[module.activation]
        self.shapes = [(self.width, d)] + [tuple(p.shape) for p in list(module.parameters())[1:]]
        self.sizes = [torch.Size(shape).numel() for shape in self.shapes] + [len(origins)]
        learned = torch.zeros(len(starts), self.width * d, dtype=starts.dtype)
        shares = F.one_hot(which, len(origins)).to(starts.dtype)
        self.start = torch.cat([learned, starts[:, size:], shares], dim=1)

    def slots(self) -> dict[str, Tensor]:
        """The slots of the first round, (K, D) each."""
        return {"x": self.start.clone(), "velocity": torch.zeros_like(self.start)}

    def learn(self, columns: Columns, round: int) -> None:
        """One learning phase of every device: SGD as `Training` says, on the run's own mini-batches."""
        x, velocity = columns.slots["x"].clone(), columns.slots["velocity"].clone()
        if self.training.velocity == "reset":
            velocity.zero_()
        gradient = torch.zeros_like(x)  # what devices had at the start is moved by no sample
        plain = not (self.training.nesterov or self.training.weight_decay)  # gradients go straight into the velocity
        batches = self.inputs.plan.of_round(round)
        for rows, weights in zip(batches.rows, batches.weights, strict=True):
            if plain and bool(weights.all()):
                self._gradient(x, rows, weights, velocity, self.training.momentum)
                x.sub_(velocity, alpha=self.training.lr)
            else:
                self._gradient(x, rows, weights, gradient)
                step(self.training, x, velocity, gradient, weights)
        columns.slots |= {"x": x, "velocity": velocity}

    def _gradient(self, x: Tensor, rows: Tensor, weights: Tensor, out: Tensor, keep: float = 0.0) -> None:
        """out (K, D) <- keep out + the gradient of each device's mean loss over its batch: rows, weights (K, b)."""
        held, before = self._passes(x, self.inputs.along[rows], self.still[:, rows])
        wanted = self.inputs.wanted[rows]
        if self.loss == "cross_entropy":
            delta = before[-1].softmax(dim=2) - wanted
        else:
            delta = (before[-1] - wanted) * (2 / before[-1].shape[2])
        delta *= weights[:, :, None]
        layers, parts = self._layers(x), self._layers(out)
        for number in reversed(range(len(layers))):
            scale, bias_scale = self.inputs.module.scales[number]
            to_weight, to_bias = parts[number]
            to_weight.baddbmm_(delta.transpose(1, 2), held[number], beta=keep, alpha=scale)
            if to_bias is not None:
                to_bias.mul_(keep).add_(delta.sum(dim=1, keepdim=True), alpha=bias_scale)
            if number:
                delta = torch.bmm(delta, layers[number][0]) * scale
                delta *= self.activation.slope(before[number - 1], held[number])

    def outputs(self, x: Tensor) -> Tensor:
        """(B, T, C): of rows x (B, D), at the test samples."""
        count = len(self.inputs.train)
        along, still = self.inputs.along[None, count:], self.still[:, None, count:]
        return torch.cat([self._passes(row, along, still)[1][-1] for row in torch.split(x, 1)])  # each stays in cache

    def _layers(self, x: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """Views of rows (B, D) as each layer's weights (B, out, in) and bias (B, 1, out)."""
        parts = iter(torch.split(x, self.sizes, dim=1))
        shapes, biased = iter(self.shapes), self.inputs.module.layers[0].bias is not None
        found: list[tuple[Tensor, Tensor | None]] = []
        for _ in self.inputs.module.scales:
            weight = next(parts).view(len(x), *next(shapes))
            found.append((weight, next(parts).view(len(x), 1, *next(shapes)) if biased else None))
        return found

    def _passes(self, x: Tensor, along: Tensor, still: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Inputs of every layer, and what it makes of them before its activation (the last are the outputs).

        along: (B, b, d). still: (M, B or 1, b, width), what the first layer says of the samples as devices began.
        """
        shares = x[:, -self.sizes[-1] :]
        kept = torch.einsum("km,mkbw->kbw", shares, still.expand(-1, len(x), -1, -1)) if self.apart else still[0]
        held, before = [along], list[Tensor]()
        for (weight, bias), (scale, bias_scale) in zip(self._layers(x), self.inputs.module.scales, strict=True):
            if before:
                held.append(self.activation.value(before[-1]))
                kept = held[-1].new_zeros(())
            kept = kept if bias is None else kept + bias * bias_scale
            before.append(torch.baddbmm(kept, held[-1], weight.transpose(1, 2), alpha=scale))
        return held, before

    def distance(self, x: Tensor) -> float:
        """sqrt(mean_k ||theta_k - average||^2) of rows (K, D), as `p2pl.metrics` has it."""
        apart = (x - x.mean(dim=0)).double()
        shares, learned = apart[:, -self.sizes[-1] :], apart[:, : self.sizes[0]]
        squares = apart[:, : -self.sizes[-1]].square().sum(dim=1)
        squares += ((shares @ self.products) * shares).sum(dim=1) + 2 * ((shares @ self.projected) * learned).sum(dim=1)
        return float(squares.clamp(min=0).mean().sqrt())
