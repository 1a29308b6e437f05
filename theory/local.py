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
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from p2pl.groups import Training
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

    def with_data(self, values: Tensor, slope: Tensor) -> Tensor:
        """(n, 7, 7) of the step, or flow, on (values of the slots, r, gamma of x, gamma of u) for n eigenvalues.

        slope: (n,) 2 / (n C) of the device whose they are.
        """
        whole = torch.zeros(len(values), 7, 7, dtype=torch.float64)
        whole[:, :4, :4] = self.map
        whole[:, 4, 4] = self.stay
        whole[:, 5:, 5:] = self.map[:2, :2]
        push = torch.cat([self.push * values[:, None], self.push[None, :2].expand(len(values), 2)], dim=1)
        for rows, part in ((slice(0, 4), push[:, :4]), (slice(5, 7), push[:, 4:])):
            whole[:, rows, X] -= slope[:, None] * part
            whole[:, rows, 4] += slope[:, None] * part
        return whole


class Local:
    """One device's steps, batch after batch, by its rows of an expansion. residual: (n C,), target - f_ref at those.

    there: numbers of the slots that are carried from phase to phase; all others begin each phase at zero.
    """

    def __init__(
        self, training: Training, expansion: Expansion, device: int, residual: Tensor, there: Sequence[int]
    ) -> None:
        self.training, self.residual, self.there = training, residual, list(there)
        self.outputs, own = expansion.samples.outputs, expansion.samples.held[device]
        self.kernel = expansion.gram[own, own].double()

    def learn(self, values: Tensor, batches: Sequence[np.ndarray]) -> Phase:
        """A phase from the slots' values (S, n C) at the device's samples; batches: numbers of its own samples."""
        step = Step.of(self.training, len(batches))
        change, gains = torch.eye(4, dtype=torch.float64), torch.zeros(2, len(self.residual), dtype=torch.float64)
        values = torch.zeros(4, len(self.residual), dtype=torch.float64).index_copy(0, torch.tensor(self.there), values)
        for batch in batches:
            rows = torch.from_numpy((batch[:, None] * self.outputs + np.arange(self.outputs)).reshape(-1))
            data = (self.residual[rows] - values[X, rows]) * (2 / len(rows))
            values = step.map @ values + step.push[:, None] * (data @ self.kernel[rows])
            change, gains = step.map @ change, step.map[:2, :2] @ gains
            gains[:, rows] += step.push[:2, None] * data
        return Phase(change[self.there][:, self.there], gains)
