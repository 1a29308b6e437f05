"""Outputs of K networks moved by tangent kernels along one centralized run: cross-entropy, mini-batches, momentum.

    p_k <- mu p_k + (softmax(F_k[b]) - Y[b]) / |b|         for each batch b of device k, in coefficients of its samples
    F_k <- F_k - lr Theta_t(., I_k) p_k                    learn
    F_k <- sum_j W_t[k, j] F_j                             cooperate

One network is trained on all data, with the spec's own steps; kernels Theta_i, averaged over outputs, are taken where
its training loss passes values equally spaced in their logarithm. In each round Theta_t lies between two of them, by
the training loss of the mean of the devices' outputs. So the kernels see the features that all settings learn in
common; of what devices learn each for itself between two exchanges they know nothing. Our construction.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from p2pl.local_data import LocalData
from p2pl.losses import dense_targets, loss_function
from p2pl.registry import SpecError
from p2pl.scenario import Scenario, tensors
from theory.batches import Batches, Plan, step
from theory.beside import Settings
from theory.kernel import ntk

ANCHORS = 8
LOWEST = 0.02  # of the first loss, at the last anchor
EPOCHS = 300  # in which it is to be reached
LOOK = 10  # steps between two looks at the loss


class KernelPath:
    """What all settings of one seed share: one centralized run, and the kernels along it.

    kernels: (A, N + T, N), levels: (A,) falling logarithms of the loss. Raises SpecError for starts that are apart.
    """

    def __init__(self, scenario: Scenario, anchors: int = ANCHORS) -> None:
        known, dtype = scenario.data, scenario.dtype
        self.train, self.targets = tensors(known.x_train, known.y_train, dtype)
        tests = scenario.evaluated()
        self.test, self.test_targets = tensors(known.x_test[tests], known.y_test[tests], dtype)
        self.wanted = dense_targets(self.targets, known.classes).to(dtype)
        experiment = scenario.experiment
        data = LocalData(self.train, self.targets, scenario.shards, experiment.training, experiment.seed)
        self.plan = Plan(data, dtype)
        self.loss = loss_function(scenario.experiment.loss, known.classes)
        self.first = common_start(scenario.start(scenario.channel()))
        module, samples = copy.deepcopy(scenario.module), torch.cat([self.train, self.test])
        found = self._trained(scenario, module, anchors)
        self.levels = np.log([loss for loss, _ in found])
        kernels = (ntk(module, at, samples, self.train, averaged=True) for _, at in found)
        self.kernels = torch.stack([kernel.to(dtype) for kernel in kernels])
        vector_to_parameters(self.first, module.parameters())
        with torch.no_grad():
            self.start: Tensor = module(samples)

    def _trained(self, scenario: Scenario, module: torch.nn.Module, anchors: int) -> list[tuple[float, Tensor]]:
        """(loss, parameters) at the anchors, of one network that learns from all samples."""
        experiment = scenario.experiment
        plan = LocalData(self.train, self.targets, [np.arange(len(self.train))], experiment.training, experiment.seed)
        vector_to_parameters(self.first.clone(), module.parameters())
        optimizer = torch.optim.SGD(
            module.parameters(),
            experiment.training.lr,
            experiment.training.momentum,
            weight_decay=experiment.training.weight_decay,
            nesterov=experiment.training.nesterov,
        )
        found = [(self._loss(module), self.first)]
        goals = np.geomspace(found[0][0], LOWEST * found[0][0], anchors)[1:]
        steps = (batch for epoch in range(1, EPOCHS) for batch in plan.batches(0, epoch))
        for taken, batch in enumerate(steps):
            optimizer.zero_grad()
            self.loss(module(self.train[batch]), self.targets[batch]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if taken % LOOK == 0 and (now := self._loss(module)) <= goals[0]:
                found.append((now, parameters_to_vector(module.parameters()).detach().clone()))
                goals = goals[goals < now]
                if not len(goals):
                    break
        return found

    def _loss(self, module: torch.nn.Module) -> float:
        with torch.no_grad():
            return self.loss(module(self.train), self.targets).item()

    def at(self, loss: float) -> tuple[int, float]:
        """i and a share s: the kernel at that loss is (1 - s) kernels[i] + s kernels[i + 1]."""
        place = float(np.interp(-np.log(loss), -self.levels, np.arange(len(self.levels))))
        index = min(int(place), len(self.levels) - 2)
        return index, place - index


class OnPath:
    """The networks of some settings; see `theory.forecast.Networks`. x: (K, (N + T) C) outputs; velocity: (K, n C), p.

    starts: (K, P) a setting.
    """

    parametric = False

    def __init__(self, path: KernelPath, scenario: Scenario, starts: Sequence[Tensor]) -> None:
        experiment = scenario.experiment
        if not all(torch.equal(common_start(one), path.first) for one in starts):
            raise SpecError("the devices of this setting start elsewhere than the path: set initialization: shared")
        if experiment.algorithm.options.get("mix_velocity") or experiment.training.weight_decay:
            raise SpecError("a path covers neither mixed velocities nor weight decay: forecast by span")
        self.path, self.training, self.settings = path, experiment.training, len(starts)
        self.test, self.test_targets = path.test, path.test_targets
        self.devices, self.classes = len(scenario.shards), experiment.loss == "cross_entropy"
        self.count, self.outputs_each = path.wanted.shape
        longest = max(map(len, scenario.shards))
        self.held = torch.from_numpy(np.stack([np.resize(shard, longest) for shard in scenario.shards]))  # (K, n)
        self.place = torch.zeros(self.count, dtype=torch.int64)  # of each row, among those of its device
        for shard in scenario.shards:
            self.place[torch.from_numpy(shard)] = torch.arange(len(shard))
        self.everybody = torch.arange(self.devices)[:, None]

    def slots(self) -> dict[str, Tensor]:
        """Those of all settings in the first round."""
        x = self.path.start.reshape(1, -1).repeat(self.settings * self.devices, 1)
        still = x.new_zeros(len(x), self.held.shape[1] * self.outputs_each)
        return {"x": x, "velocity": still}

    def learn(self, settings: Settings, round: int) -> None:
        """One learning phase of every device of all settings."""
        batches = self.path.plan.of_round(round)
        learned = [self._learn(slots, batches) for slots in settings.parts()]
        settings.slots |= dict(zip(("x", "velocity"), map(torch.cat, zip(*learned, strict=True)), strict=True))

    def _learn(self, slots: dict[str, Tensor], batches: Batches) -> tuple[Tensor, Tensor]:
        """x and velocity of one setting."""
        path = self.path
        x = slots["x"].view(self.devices, -1, self.outputs_each)
        mean = x[:, : self.count].mean(dim=0)
        index, share = path.at(max(path.loss(mean, path.targets).item(), np.exp(path.levels[-1])))
        kernel = torch.lerp(path.kernels[index], path.kernels[index + 1], share)
        own = kernel[self.held[:, :, None], self.held[:, None, :]]
        here = x[self.everybody, self.held]
        speed = slots["velocity"].clone()
        if self.training.velocity == "reset":
            speed.zero_()
        change = torch.zeros_like(speed)
        for rows, weights in zip(batches.rows, batches.weights, strict=True):
            gradient = self._gradient(here, rows, weights)
            before = change.clone()
            step(self.training, change, speed, gradient, weights)
            here = here + torch.bmm(own, (change - before).view_as(here))
        moved = torch.stack(
            [kernel[:, rows] @ part for rows, part in zip(self.held, change.view_as(here), strict=True)]
        )
        return (x + moved).flatten(1), speed

    def _gradient(self, here: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        """(K, n C), by the outputs at a device's own samples (K, n, C), of its mean loss over a batch (K, b)."""
        place = self.place[rows]
        outputs, wanted = here[self.everybody, place], self.path.wanted[rows]
        said, gain = (outputs.softmax(dim=2), 1.0) if self.classes else (outputs, 2 / outputs.shape[2])
        slope = gain * (said - wanted)
        gradient = torch.zeros_like(here)
        index = place[:, :, None].expand_as(slope)
        return gradient.scatter_add_(1, index, slope * weights[:, :, None]).flatten(1)

    def outputs(self, x: Tensor) -> Tensor:
        """(B, T, C): of rows x, at the test samples."""
        return x.view(len(x), -1, self.outputs_each)[:, self.count :]


def common_start(starts: Tensor) -> Tensor:
    """(P,) where all devices start. Raises SpecError if they do not start together."""
    if not bool((starts == starts[0]).all()):
        raise SpecError(
            "a path begins at one start, and these devices start apart (with failures an election may leave several"
            " leaders): set initialization: shared, or forecast by span"
        )
    return starts[0].clone()
