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

import torch
from torch import Tensor
from torch.nn import functional as F

from p2pl.local_data import LocalData
from p2pl.losses import dense_targets
from p2pl.models.mlp import ACTIVATIONS, MLP
from p2pl.registry import SpecError
from p2pl.scenario import Scenario, tensors
from theory.batches import Batches, stepped
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


class Restricted:
    """The networks of one setting, from their starts (K, P); see `theory.forecast.Networks`."""

    def __init__(self, inputs: Inputs, scenario: Scenario, starts: Tensor) -> None:
        experiment = scenario.experiment
        self.inputs, self.training, self.loss = inputs, experiment.training, experiment.loss
        self.data = LocalData(inputs.train, inputs.targets, scenario.shards, self.training, experiment.seed)
        module, d = inputs.module, inputs.basis.shape[1]
        first = module.layers[0]
        self.width, wide = first.weight.shape
        origins, which = torch.unique(starts, dim=0, return_inverse=True)
        weights = origins[:, : first.weight.numel()].view(-1, self.width, wide)
        samples = torch.cat([inputs.train, inputs.test])
        scale, _ = module.scales[0]
        self.still = torch.stack([scale * samples @ one.T for one in weights])  # (M, N + T, width)
        self.products = weights.flatten(1).double() @ weights.flatten(1).double().T
        self.projected = (weights.double() @ inputs.basis.double()).flatten(1)
        self.apart = len(origins) > 1 or self.training.weight_decay > 0
        self.shapes = [(self.width, d)] + [tuple(p.shape) for p in list(module.parameters())[1:]]
        self.sizes = [torch.Size(shape).numel() for shape in self.shapes] + [len(origins)]
        learned = torch.zeros(len(starts), self.width * d, dtype=starts.dtype)
        shares = F.one_hot(which, len(origins)).to(starts.dtype)
        self.start = torch.cat([learned, starts[:, first.weight.numel() :], shares], dim=1)

    def slots(self) -> dict[str, Tensor]:
        """The slots of the first round, (K, D) each."""
        return {"x": self.start.clone(), "velocity": torch.zeros_like(self.start)}

    def learn(self, columns: Columns, round: int) -> None:
        """One learning phase of every device: SGD as `Training` says, on the run's own mini-batches."""
        x, velocity = columns.slots["x"].to(self.start.dtype), columns.slots["velocity"].to(self.start.dtype)
        if self.training.velocity == "reset":
            velocity = torch.zeros_like(velocity)
        batches = Batches.of(self.data, round, x.dtype)
        for rows, weights in zip(batches.rows, batches.weights, strict=True):
            x, velocity = stepped(self.training, x, velocity, self._gradient(x, rows, weights), weights)
        columns.slots |= {"x": x, "velocity": velocity}

    def _gradient(self, x: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        """(K, D), of each device's mean loss over its batch: rows, weights (K, b)."""
        x = x.detach().requires_grad_()
        outputs = self._outputs(x, self.inputs.along[rows], self.still[:, rows])
        target = self.inputs.targets[rows]
        if self.loss == "cross_entropy":
            each = F.cross_entropy(outputs.flatten(0, 1), target.flatten(), reduction="none").view_as(weights)
        else:
            each = (outputs - dense_targets(target, outputs.shape[2])).square().mean(dim=2)
        gradient: Tensor = torch.autograd.grad((each * weights).sum(), x)[0]
        gradient[:, -self.sizes[-1] :] = 0  # what devices had at the start is moved by no sample
        return gradient

    def outputs(self, x: Tensor) -> Tensor:
        """(B, T, C): of rows x (B, D), at the test samples."""
        count = len(self.inputs.train)
        with torch.no_grad():
            return self._outputs(x, self.inputs.along[count:].expand(len(x), -1, -1), self.still[:, None, count:])

    def _outputs(self, x: Tensor, along: Tensor, still: Tensor) -> Tensor:
        """along: (B, b, d); still: (M, B or 1, b, width), what the first layer says of them without having learned."""
        module = self.inputs.module
        *parts, shares = torch.split(x, self.sizes, dim=1)
        views = [part.view(len(x), *shape) for part, shape in zip(parts, self.shapes, strict=True)]
        kept = torch.einsum("km,mkbw->kbw", shares, still.expand(-1, len(x), -1, -1)) if self.apart else still[0]
        h = along
        for number, (scale, bias_scale) in enumerate(module.scales):
            turned = views.pop(0).transpose(1, 2)
            h = torch.bmm(h, scale * turned) if number else kept + torch.bmm(h, scale * turned)
            if module.layers[number].bias is not None:
                h = h + bias_scale * views.pop(0)[:, None]
            if number + 1 < len(module.scales):
                h = ACTIVATIONS[module.activation].value(h)
        return h

    def distance(self, x: Tensor) -> float:
        """sqrt(mean_k ||theta_k - average||^2) of rows (K, D), as `p2pl.metrics` has it."""
        apart = (x - x.mean(dim=0)).double()
        shares, learned = apart[:, -self.sizes[-1] :], apart[:, : self.sizes[0]]
        squares = apart[:, : -self.sizes[-1]].square().sum(dim=1)
        squares += ((shares @ self.products) * shares).sum(dim=1) + 2 * ((shares @ self.projected) * learned).sum(dim=1)
        return float(squares.clamp(min=0).mean().sqrt())
