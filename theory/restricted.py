"""Multi-layer perceptrons that see few numbers of every input: what it has along some directions.

    x -> U'x    W -> W U        U (inputs, d), orthonormal: the first d of X'Y, X'X X'Y, (X'X)^2 X'Y, ...

X'Y are the sums of the classes' inputs, and all of these together what gradient descent on a linear model would learn
along (a block Krylov space): fewer of them say as much as leading eigenvectors of X'X do. Every gradient of W is a sum
of terms g x', so that with as many directions as the inputs span nothing at all is left out. It is no linearization:
features are learned, devices may be as far apart as they like. Our construction.

The networks are small ones, and learn by the engine's own code: a forecast is a cheaper run, and no second opinion on
it. Settings that share their data are so many more devices, all in one call. What first weights have along no direction
moves no output; as weights of inputs that are always zero it keeps its part in distances and under weight decay.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pl.learners import batched, choose_learner
from p2pl.local_data import LocalData
from p2pl.losses import dense_targets
from p2pl.models.mlp import MLP
from p2pl.registry import SpecError
from p2pl.scenario import CPU, Scenario, tensors
from p2pl.training import LocalWork, TorchLearner
from theory.beside import Settings

DIRECTIONS = 20
TOGETHER = 250_000  # parameters that torch moves in one step: few enough for the cache, enough to share overheads


class Restricted:
    """The small networks of some settings of one scenario; see `theory.forecast.Networks`. test: (T, d + spare).

    starts: (K, P) a setting. directions: d, how many at most. Raises SpecError for a model that is no multi-layer
    perceptron.
    """

    parametric = True

    def __init__(self, scenario: Scenario, starts: Sequence[Tensor], directions: int = DIRECTIONS) -> None:
        experiment, known, module = scenario.experiment, scenario.data, scenario.module
        if not isinstance(module, MLP):
            raise SpecError(
                f"model '{experiment.model.name}' is no multi-layer perceptron, whose first layer could be restricted"
                " to a few directions of the inputs: forecast it by the kernels of a path (--by path)"
            )
        tests = scenario.evaluated()
        train, targets = tensors(known.x_train, known.y_train, scenario.dtype)
        test, self.test_targets = tensors(known.x_test[tests], known.y_test[tests], scenario.dtype)
        train, test = train.flatten(1), test.flatten(1)
        self.basis = leading(train, dense_targets(targets, known.classes), test, directions)
        self.width = cast(nn.Linear, module.layers[0]).out_features
        together = list(map(common, starts))
        apart = experiment.training.weight_decay > 0 or not all(together)
        self.spare = math.ceil(len(scenario.shards) / self.width) if apart else 0  # inputs that are always zero
        along, self.test = (F.pad(one @ self.basis, (0, self.spare)) for one in (train, test))
        small = narrowed(module, along.shape[1])
        data = SideBySide(along, targets, scenario, len(starts))
        model = batched(small, experiment.loss, known.classes, CPU)
        self.learner = choose_learner(experiment, small, model, data)
        if isinstance(self.learner, TorchLearner):
            self.learner.block = max(model.block, TOGETHER // model.parameters)
        self.work = LocalWork(model, data, self.learner, scenario.dtype)
        self.start = torch.cat(list(map(self._small, starts, together)))

    def _small(self, starts: Tensor, together: bool) -> Tensor:
        """(K, p) parameters of the small networks that stand for (K, P), which may all be the same."""
        size, count = self.width * len(self.basis), len(starts)
        origins, which = starts[:1], torch.zeros(count, dtype=torch.int64)
        if not together:
            origins, which = torch.unique(starts, dim=0, return_inverse=True)
        first, others = origins[:, :size].view(len(origins), self.width, -1), origins[:, size:]
        parts = [first @ self.basis]
        if self.spare:
            unseen = (first - parts[0] @ self.basis.T).flatten(1).double()
            values, vectors = torch.linalg.eigh(unseen @ unseen.T)
            numbers = vectors * values.clamp(min=0).sqrt()  # (M, M) with the same products, so as long and as far apart
            numbers = F.pad(numbers, (0, self.width * self.spare - len(origins)))
            parts.append(numbers.view(len(origins), self.width, self.spare).to(starts.dtype))
        return torch.cat([torch.cat(parts, dim=2).flatten(1), others], dim=1)[which]

    def slots(self) -> dict[str, Tensor]:
        """Those of all settings in the first round."""
        return {"x": self.start, "velocity": torch.zeros_like(self.start)}

    def learn(self, settings: Settings, round: int) -> None:
        """One learning phase of every device of all settings."""
        self.work.round = round
        learned = self.work.train(settings.slots["x"], settings.slots["velocity"])
        settings.slots |= dict(zip(("x", "velocity"), learned, strict=True))

    def outputs(self, x: Tensor) -> Tensor:
        """(B, T, C), of rows (B, p) at the test samples."""
        return self.learner.outputs(x, self.test)


class SideBySide(LocalData):
    """The data of as many settings: all have the same samples, and their devices meet them in the same order."""

    def __init__(self, inputs: Tensor, targets: Tensor, scenario: Scenario, settings: int) -> None:
        experiment, shards = scenario.experiment, scenario.shards
        super().__init__(inputs, targets, shards * settings, experiment.training, experiment.seed)
        self.names = np.tile(np.arange(len(shards)), settings)
        self._of_one = lru_cache(maxsize=len(shards))(super().schedule)

    def schedule(self, device: int, round: int, steps: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """See `LocalData.schedule`. Drawn once for all settings."""
        return self._of_one(int(self.names[device]), round, steps)


def common(starts: Tensor) -> bool:
    """Whether all devices start together."""
    return torch.equal(starts[1:], starts[:-1])


def narrowed(module: MLP, inputs: int) -> MLP:
    """The same network on so many inputs, its parameters yet to be given."""
    small, first = copy.deepcopy(module), cast(nn.Linear, module.layers[0])
    small.layers[0] = nn.Linear(inputs, first.out_features, bias=first.bias is not None, dtype=first.weight.dtype)
    return small


def leading(train: Tensor, wanted: Tensor, test: Tensor, count: int) -> Tensor:
    """(inputs, d) the directions of the module's docstring, of inputs (N, inputs) with dense targets (N, C).

    d: count, or as many as training and test inputs span. Where the Krylov space ends, the rest of the inputs follow.
    """
    nothing = torch.finfo(train.dtype).eps ** (2 / 3)  # of the inputs' size: rounding
    inputs, ended = train / torch.linalg.matrix_norm(train), False
    basis, block = train.new_zeros(train.shape[1], 0), (wanted.T.to(train.dtype) @ inputs).T
    block = block / torch.linalg.matrix_norm(block).clamp(min=nothing)
    while basis.shape[1] < min(count, len(basis)):
        vectors, values, _ = torch.linalg.svd(block - basis @ (basis.T @ block), full_matrices=False)
        new = vectors[:, values > nothing][:, : count - basis.shape[1]]
        if not new.shape[1] and ended:
            break
        new, _ = torch.linalg.qr(new - basis @ (basis.T @ new))  # what rounding has left of the basis
        ended = not new.shape[1]
        basis = torch.cat([basis, new], dim=1)
        if ended:
            every = torch.cat([train, test])
            block = (every / torch.linalg.matrix_norm(every)).T
        else:
            block = ((new.T @ inputs.T) @ inputs).T  # few rows by many columns: four times as fast as its transpose
    return basis
