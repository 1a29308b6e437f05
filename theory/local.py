"""What a device's local steps do to its linearized model, collapsed to one gain.

One step of SGD on the device's own loss, r the residuals at the reference, y = J (theta - theta_ref) at its samples:

    e = g J^T (r - y) - wd theta              g = 2 / (n C): the slope of torch's mean squared error
    u <- mu u + e                             heavy ball (u is minus torch's velocity)
    theta <- theta + lr u + drift / tau       Nesterov's form: theta + lr (e + mu u)

Every quantity is a combination of `SLOTS` and of J^T gamma. In an eigenvector of the device's kernel, of eigenvalue l,
the step is a 7 x 7 matrix on (the four slots' values, r, gamma of theta, gamma of u); tau full-batch steps are its
tau-th power. Mini-batches are taken one after another: their kernels do not commute.

In continuous time (gradient flow) the phase lasts lr tau / (1 - mu), and the power is a matrix exponential.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from p2pl.groups import Training
from p2pl.local_data import LocalData
from p2pl.scenario import Scenario
from theory.expansion import Expansion

# theta - theta_ref; minus the velocity; what affinity adds in a phase; theta_ref itself, which weight decay shrinks.
SLOTS = ("x", "velocity", "drift", "origin")
X, U, DRIFT, ORIGIN = range(4)


class Phase(NamedTuple):
    """A device's learning phase: slots <- map slots, and J^T gains[0] more for x, J^T gains[1] more for the velocity.

    map: (S, S) of the slots that there are. gains: (2, n C).
    """

    map: Tensor
    gains: Tensor


@dataclass(frozen=True)
class Step:
    """One step, slots <- map slots + push data, push (4,); or the generator of a flow, d slots / dt = the same.

    stay: what keeps a constant: 1 of a step, 0 of a flow.
    """

    map: Tensor
    push: Tensor
    stay: float

    @classmethod
    def of(cls, training: Training, steps: int) -> Step:
        lr, mu, decay = float(training.lr), float(training.momentum), float(training.weight_decay)
        pull = torch.tensor([-decay, 0, 0, -decay], dtype=torch.float64)  # e, but for the data
        change, push = torch.eye(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
        velocity = change[U] * mu + pull
        ahead, gain = (pull + mu * velocity, 1 + mu) if training.nesterov else (velocity, 1.0)
        change[X] += lr * ahead
        change[X, DRIFT] += 1 / steps
        change[U] = velocity
        push[X], push[U] = lr * gain, 1.0
        return cls(change, push, 1.0)

    @classmethod
    def flow(cls, training: Training, steps: int) -> Step:
        """The generator of the flow over the whole phase, as if that were one unit of time."""
        time, decay = float(training.lr) * steps / (1 - float(training.momentum)), float(training.weight_decay)
        change, push = torch.zeros(4, 4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
        change[X] = torch.tensor([-decay * time, 0, 1, -decay * time])
        push[X] = time
        return cls(change, push, 0.0)

    def with_data(self, values: Tensor, slope: float) -> Tensor:
        """(n, 7, 7) of the step, or flow, on (values of the slots, r, gamma of x, gamma of u) for n eigenvalues."""
        whole = torch.zeros(len(values), 7, 7, dtype=torch.float64)
        whole[:, :4, :4] = self.map
        whole[:, 4, 4] = self.stay
        whole[:, 5:, 5:] = self.map[:2, :2]
        push = torch.cat([self.push * values[:, None], self.push[None, :2].expand(len(values), 2)], dim=1)
        for rows, part in ((slice(0, 4), push[:, :4]), (slice(5, 7), push[:, 4:])):
            whole[:, rows, X] -= slope * part
            whole[:, rows, 4] += slope * part
        return whole


class Local:
    """One device's steps, by its rows of an expansion. residual: (n C,), target - f_ref at its samples.

    there: numbers of the slots that are carried from phase to phase; all others begin each phase at zero.
    """

    def __init__(
        self,
        training: Training,
        expansion: Expansion,
        device: int,
        residual: Tensor,
        there: Sequence[int],
        continuous: bool,
    ) -> None:
        self.training, self.expansion, self.device, self.residual = training, expansion, device, residual
        self.there, self.continuous = list(there), continuous
        self.outputs = expansion.samples.outputs
        self.samples = len(residual) // self.outputs
        self._powers: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def learn(self, values: Tensor, batches: Sequence[np.ndarray]) -> Phase:
        """A phase from the slots' values (S, n C) at the device's samples; batches: numbers of its own samples."""
        whole = all(len(batch) == self.samples for batch in batches)
        if self.continuous or (whole and len(batches) > 1):
            return self._collapsed(values, len(batches))
        return self._stepwise(values, batches)

    @cached_property
    def _kernel(self) -> Tensor:
        """(n C, n C), in float64."""
        own = self.expansion.samples.held[self.device]
        return self.expansion.gram[own, own].double()

    @cached_property
    def _basis(self) -> Tensor:
        """Its eigenvectors, in the type of the run's numbers, as all products are."""
        return self.expansion.spectra[self.device].eigenvectors.to(self.expansion.gram.dtype)

    def _collapsed(self, values: Tensor, steps: int) -> Phase:
        change, power, rest = self._power(steps)
        along = (power * (values.to(self._basis.dtype) @ self._basis)).sum(dim=1) + rest
        return Phase(change, (along.to(self._basis.dtype) @ self._basis.T).double())

    def _power(self, steps: int) -> tuple[Tensor, Tensor, Tensor]:
        """Of a phase of `steps`: the slots' map (S, S), both gains by the slots' values (2, S, n C), and by r (2, n C).

        Gains by eigenvectors of the kernel.
        """
        if steps not in self._powers:
            slope = 2 / (self.samples * self.outputs)
            values, basis = self.expansion.spectra[self.device]
            if self.continuous:
                step = Step.flow(self.training, steps)
                change, whole = (torch.matrix_exp(one) for one in (step.map, step.with_data(values, slope)))
            else:
                step = Step.of(self.training, steps)
                change = torch.linalg.matrix_power(step.map, steps)
                whole = torch.linalg.matrix_power(step.with_data(values, slope), steps)
            power = whole[:, 5:, :5].permute(1, 2, 0)
            rest = power[:, 4] * (self.residual @ basis)
            self._powers[steps] = change[self.there][:, self.there], power[:, self.there].contiguous(), rest
        return self._powers[steps]

    def _stepwise(self, values: Tensor, batches: Sequence[np.ndarray]) -> Phase:
        step = Step.of(self.training, len(batches))
        change, gains = torch.eye(4, dtype=torch.float64), torch.zeros(2, len(self.residual), dtype=torch.float64)
        values = torch.zeros(4, len(self.residual), dtype=torch.float64).index_copy(0, torch.tensor(self.there), values)
        for batch in batches:
            rows = torch.from_numpy((batch[:, None] * self.outputs + np.arange(self.outputs)).reshape(-1))
            data = (self.residual[rows] - values[X, rows]) * (2 / len(rows))
            values = step.map @ values + step.push[:, None] * (data @ self._kernel[rows])
            change, gains = step.map @ change, step.map[:2, :2] @ gains
            gains[:, rows] += step.push[:2, None] * data
        return Phase(change[self.there][:, self.there], gains)


class Devices:
    """The learning phases of all devices, each with its own mini-batches: those of the run. names: of the slots."""

    def __init__(
        self,
        scenario: Scenario,
        expansion: Expansion,
        names: Sequence[str],
        continuous: bool,
    ) -> None:
        samples = expansion.samples
        residual = samples.targets.reshape(-1) - expansion.train_outputs
        there = [SLOTS.index(name) for name in names]
        known, experiment = scenario.data, scenario.experiment
        self.held, self.training = samples.held, experiment.training
        inputs, targets = torch.empty(0), torch.empty(0)  # who meets which samples does not depend on what they are
        self.data = LocalData(inputs, targets, scenario.shards, experiment.training, experiment.seed)
        self.whole: dict[int, list[np.ndarray]] = {}
        self.place = [np.empty(len(known.x_train), dtype=np.int64) for _ in scenario.shards]
        for place, shard in zip(self.place, scenario.shards, strict=True):
            place[shard] = np.arange(len(shard))
        self.local = [
            Local(experiment.training, expansion, k, residual[own], there, continuous)
            for k, own in enumerate(samples.held)
        ]

    def learn(self, values: Tensor, round: int, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Maps between slots (K, S, S), and gains (2, N C), of those chosen; others stay as they are.

        values: of each slot (S, N C), each device's at its own samples.
        """
        maps = torch.eye(len(values), dtype=torch.float64).repeat(len(self.held), 1, 1)
        gains = torch.zeros(2, values.shape[1], dtype=torch.float64)
        for k in chosen.tolist():
            own = self.held[k]
            maps[k], gains[:, own] = self.local[k].learn(values[:, own], self._batches(k, round))
        return maps, gains

    def _batches(self, device: int, round: int) -> list[np.ndarray]:
        """Numbers of the device's own samples, batch by batch; full batches are the same in each round."""
        if device in self.whole:
            return self.whole[device]
        batches = [self.place[device][batch] for batch in self.data.batches(device, round)]
        if all(len(batch) == len(self.data.shards[device]) for batch in batches):
            self.whole[device] = batches
        return batches
