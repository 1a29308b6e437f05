"""On-device learning of all K devices: fused local SGD. This is the hot path.

    v <- mu v + g + wd x        x <- x - lr v              heavy ball, as torch.optim.SGD
                                x <- x - lr (g' + mu v)    Nesterov's form, g' = g + wd x

Devices do not interact while they learn, so they are taken in blocks that stay in cache for the whole phase. Each
device has its own order of samples in each round, from a stream of its own: the same for every algorithm.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from p2pl.batched import BatchedModel
from p2pl.experiment import Training
from p2pl.seeds import stream


class LocalData:
    """The training samples, and which of them each device holds; the order in which it meets them.

    inputs: (N, ...). targets: (N,) class numbers or (N, C) values. shards: K arrays of row numbers.
    """

    def __init__(
        self, inputs: Tensor, targets: Tensor, shards: list[np.ndarray], training: Training, seed: int
    ) -> None:
        self.inputs, self.targets, self.shards = inputs, targets, shards
        self.training, self.seed = training, seed

    def batches(self, device: int, round: int, steps: int | None = None) -> Iterator[np.ndarray]:
        """Row numbers of a device's mini-batches in a round: `steps` of them, or as the spec says.

        Each pass over the data is a new permutation, cut into batches; the last of a pass may be smaller. A full
        batch is the shard in its own order.
        """
        shard, training = self.shards[device], self.training
        rng = stream(self.seed, "batches", device, round)
        size = len(shard) if training.batch_size == "full" else int(training.batch_size)
        steps = steps or training.steps or (training.epochs or 1) * -(-len(shard) // size)
        while steps > 0:
            order = shard if size >= len(shard) else rng.permutation(shard)
            for start in range(0, len(order), size):
                if steps > 0:
                    yield order[start : start + size]
                steps -= 1


class LocalWork:
    """The `Work` that algorithms see, for the round that the engine has set."""

    def __init__(self, model: BatchedModel, data: LocalData, dtype: torch.dtype) -> None:
        self.model, self.data, self.round = model, data, 0
        self.lr = float(data.training.lr)
        self.sizes = torch.tensor([len(shard) for shard in data.shards], dtype=dtype)

    def stream(self, name: str) -> np.random.Generator:
        return stream(self.data.seed, name, self.round)

    def train(
        self, x: Tensor, velocity: Tensor, devices: np.ndarray | None = None, drift: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `p2pl.algorithm.Work.train`. Devices left out keep their rows."""
        new_x, new_velocity = x.clone(), velocity.clone()
        if self.data.training.velocity == "reset":
            new_velocity.zero_()
        with torch.random.fork_rng(devices=[]):  # modules that draw in training leave the caller's numbers alone
            for block in self._blocks(np.arange(len(x)) if devices is None else devices):
                rows = torch.as_tensor(block)
                held, speed = new_x[rows], new_velocity[rows]
                self._epoch(held, speed, block, None if drift is None else drift[rows])
                new_x[rows], new_velocity[rows] = held, speed
        return new_x, new_velocity

    def gradient(self, x: Tensor) -> Tensor:
        """See `p2pl.algorithm.Work.gradient`. The batch is the first of the device's round."""
        out = torch.empty_like(x)
        for k in range(len(x)):
            (rows,) = self.data.batches(k, self.round, steps=1)
            self.model.gradient(x[k : k + 1], self._inputs([rows]), self._targets([rows]), out[k : k + 1])
        return out

    def _blocks(self, devices: np.ndarray) -> Iterator[np.ndarray]:
        """A few devices at a time, those with the most samples first."""
        order = np.argsort([-len(self.data.shards[k]) for k in devices], kind="stable")
        yield from (devices[order[i : i + self.model.block]] for i in range(0, len(devices), self.model.block))

    def _epoch(self, x: Tensor, velocity: Tensor, block: np.ndarray, drift: Tensor | None) -> None:
        """The learning phase of one block, in place: the t-th step of every device whose phase is so long, for all t.

        Neighbours in the block whose t-th batches are of one size take the step together.
        """
        gradient = torch.empty_like(x)
        schedules = [list(self.data.batches(int(k), self.round)) for k in block]
        steps = torch.tensor([[len(schedule)] for schedule in schedules], dtype=x.dtype)
        seed_model(self.data.seed, int(block[0]), self.round)
        for t in range(max(map(len, schedules))):
            batches = [schedule[t] if t < len(schedule) else () for schedule in schedules]
            for some, rows in together(batches):
                self.model.gradient(x[some], self._inputs(rows), self._targets(rows), gradient[some])
                descend(x[some], velocity[some], gradient[some], self.data.training)
                if drift is not None:
                    x[some] += drift[some] / steps[some]

    def _inputs(self, rows: list[np.ndarray]) -> Tensor:
        return self.data.inputs[torch.from_numpy(np.stack(rows))]

    def _targets(self, rows: list[np.ndarray]) -> Tensor:
        return self.data.targets[torch.from_numpy(np.stack(rows))]


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


def descend(x: Tensor, velocity: Tensor, gradient: Tensor, training: Training) -> None:
    """One step of SGD with momentum, in place; `gradient` is used up."""
    if training.weight_decay:
        gradient.add_(x, alpha=training.weight_decay)
    if training.momentum:
        velocity.mul_(training.momentum).add_(gradient)
        gradient = gradient.add_(velocity, alpha=training.momentum) if training.nesterov else velocity
    x.add_(gradient, alpha=-training.lr)
