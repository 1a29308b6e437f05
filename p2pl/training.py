"""On-device learning of all K devices: fused local SGD. This is the hot path.

    v <- mu v + g + wd x        x <- x - lr v              heavy ball, as torch.optim.SGD
                                x <- x - lr (g' + mu v)    Nesterov's form, g' = g + wd x

Devices do not interact while they learn, so they are taken a few at a time, which stay in cache for the whole phase:
by torch here (`TorchLearner`), or by `p2pl.native`. Who meets which samples when is of `p2pl.local_data`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from p2pl.batched import BatchedModel
from p2pl.local_data import LocalData
from p2pl.memory import copy_of
from p2pl.native.library import Library
from p2pl.seeds import stream


class Learner(Protocol):
    """An engine: the learning phase of devices that it is given. name: for logs, results and checkpoints."""

    name: str

    @property
    def library(self) -> Library | None:
        """What the run mixes by, too, if this is the native engine: a run has one engine, and its name says which."""
        ...

    def learn(self, x: Tensor, velocity: Tensor, devices: np.ndarray, round: int, drift: Tensor | None) -> None:
        """One phase of `devices` (row numbers), in place, in their rows of x and velocity, (K, P) each.

        drift: (K, P) or None, see `p2pl.algorithm.Work.train`.
        """
        ...

    def outputs(self, x: Tensor, inputs: Tensor) -> Tensor:
        """(B, T, C): what the models x (B, P) say of samples (T, ...), the same for all."""
        ...


class LocalWork:
    """The `Work` that algorithms see, for the round that the engine has set."""

    def __init__(self, model: BatchedModel, data: LocalData, learner: Learner, dtype: torch.dtype) -> None:
        self.model, self.data, self.learner, self.round = model, data, learner, 0
        self.lr = float(data.training.lr)
        self.sizes = torch.tensor([len(shard) for shard in data.shards], dtype=dtype)

    def stream(self, name: str) -> np.random.Generator:
        return stream(self.data.seed, name, self.round)

    def train(
        self, x: Tensor, velocity: Tensor, devices: np.ndarray | None = None, drift: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `p2pl.algorithm.Work.train`. Devices left out keep their rows."""
        new_x, new_velocity = copy_of(x), copy_of(velocity)
        if self.data.training.velocity == "reset":
            new_velocity.zero_()
        self.learner.learn(new_x, new_velocity, np.arange(len(x)) if devices is None else devices, self.round, drift)
        return new_x, new_velocity

    def gradient(self, x: Tensor) -> Tensor:
        """See `p2pl.algorithm.Work.gradient`. The batch is the first of the device's round."""
        out = torch.empty_like(x)
        for k in range(len(x)):
            (rows,) = self.data.batches(k, self.round, steps=1)
            self.model.gradient(x[k : k + 1], *self.data.samples([rows]), out[k : k + 1])
        return out


class TorchLearner:
    """Any model: the gradients of `p2pl.batched`, a block of devices at a time."""

    name, library = "torch", None

    def __init__(self, model: BatchedModel, data: LocalData) -> None:
        self.model, self.data = model, data

    def learn(self, x: Tensor, velocity: Tensor, devices: np.ndarray, round: int, drift: Tensor | None) -> None:
        """See `Learner.learn`."""
        with torch.random.fork_rng(devices=[]):  # modules that draw in training leave the caller's numbers alone
            for block in self._blocks(devices):
                rows = torch.as_tensor(block)
                held, speed = x[rows], velocity[rows]
                self._epoch(held, speed, block, round, None if drift is None else drift[rows])
                x[rows], velocity[rows] = held, speed

    def outputs(self, x: Tensor, inputs: Tensor) -> Tensor:
        """See `Learner.outputs`."""
        return self.model.forward(x, inputs.unsqueeze(0))

    def _blocks(self, devices: np.ndarray) -> Iterator[np.ndarray]:
        """A few devices at a time, those with the most samples first."""
        order = np.argsort([-len(self.data.shards[k]) for k in devices], kind="stable")
        yield from (devices[order[i : i + self.model.block]] for i in range(0, len(devices), self.model.block))

    def _epoch(self, x: Tensor, velocity: Tensor, block: np.ndarray, round: int, drift: Tensor | None) -> None:
        """The learning phase of one block, in place: the t-th step of every device whose phase is so long, for all t.

        Neighbours in the block whose t-th batches are of one size take the step together.
        """
        gradient = torch.empty_like(x)
        schedules = [list(self.data.batches(int(k), round)) for k in block]
        steps = torch.tensor([[len(schedule)] for schedule in schedules], dtype=x.dtype)
        seed_model(self.data.seed, int(block[0]), round)
        for t in range(max(map(len, schedules))):
            batches = [schedule[t] if t < len(schedule) else () for schedule in schedules]
            for some, rows in together(batches):
                self._step(x[some], velocity[some], gradient[some], *self.data.samples(rows))
                if drift is not None:
                    x[some] += drift[some] / steps[some]

    def _step(self, x: Tensor, velocity: Tensor, gradient: Tensor, inputs: Tensor, targets: Tensor) -> None:
        """One step of SGD with momentum, in place; `gradient` is scratch."""
        training = self.data.training
        if training.momentum and not (training.nesterov or training.weight_decay):
            # The gradient is added to the velocity where that lies: one pass over memory less.
            self.model.gradient(x, inputs, targets, velocity, keep=training.momentum)
            x.add_(velocity, alpha=-training.lr)
            return
        self.model.gradient(x, inputs, targets, gradient)
        if training.weight_decay:
            gradient.add_(x, alpha=training.weight_decay)
        if training.momentum:
            velocity.mul_(training.momentum).add_(gradient)
            gradient = gradient.add_(velocity, alpha=training.momentum) if training.nesterov else velocity
        x.add_(gradient, alpha=-training.lr)


def together(batches: list[Any]) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """Slices of neighbours whose batches are of one size, with these batches; empty ones are left out."""
    end = 0
    for size, some in groupby(batches, key=len):
        rows = list(some)
        end += len(rows)
        if size:
            yield slice(end - len(rows), end), rows


def seed_model(seed: int, device: int, round: int) -> None:
    """Seeds torch for modules that draw random numbers of their own in training, such as dropout."""
    torch.default_generator.manual_seed(int(stream(seed, "model", device, round).integers(2**63)))
