"""On-device learning of all K devices: fused local SGD. This is the hot path.

    v <- mu v + g + wd x        x <- x - lr v              heavy ball, as torch.optim.SGD
                                x <- x - lr (g' + mu v)    Nesterov's form, g' = g + wd x

Devices do not interact while they learn, so on a CPU they are taken a few at a time, which stay in cache for the whole
phase: by torch here (`TorchLearner`), or by `p2pl.native`. On an accelerator all go in lock-step, step by step. Each
device has its own order of samples in each round, from a stream of its own: the same for every algorithm and engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from p2pl.accelerator import full_precision, own_numbers, seed_modules, torch_on
from p2pl.batched import BatchedModel
from p2pl.experiment import Training
from p2pl.memory import copy_of
from p2pl.native.library import Library
from p2pl.seeds import stream


class LocalData:
    """The training samples, and which of them each device holds; the order in which it meets them.

    inputs: (N, ...). targets: (N,) class numbers or (N, C) values; both on the run's device. shards: K arrays of row
    numbers.
    """

    def __init__(
        self, inputs: Tensor, targets: Tensor, shards: list[np.ndarray], training: Training, seed: int
    ) -> None:
        self.inputs, self.targets, self.shards = inputs, targets, shards
        self.training, self.seed = training, seed

    def schedule(self, device: int, round: int, steps: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """A device's mini-batches in a round: `steps` of them, or as the spec says.

        Row numbers (S,) in the order in which they are met, and cuts (steps + 1,): batch t is order[cuts[t] :
        cuts[t + 1]]. Each pass over the data is a new permutation, cut into batches; the last of a pass may be smaller.
        A full batch is the shard in its own order.
        """
        shard, training = self.shards[device], self.training
        rng = stream(self.seed, "batches", device, round)
        size = len(shard) if training.batch_size == "full" else int(training.batch_size)
        a_pass = -(-len(shard) // size)
        steps = steps or training.steps or (training.epochs or 1) * a_pass
        orders, cuts = [], []
        for begun in range(0, steps, a_pass):
            order = shard if size >= len(shard) else rng.permutation(shard)
            starts = np.arange(min(a_pass, steps - begun)) * size
            orders.append(order[: starts[-1] + size])
            cuts.append(begun // a_pass * len(shard) + starts)
        met = np.concatenate(orders)
        return met, np.append(np.concatenate(cuts), len(met))

    def batches(self, device: int, round: int, steps: int | None = None) -> Iterator[np.ndarray]:
        """The same as row numbers of one batch after another."""
        order, cuts = self.schedule(device, round, steps)
        yield from (order[begin:end] for begin, end in pairwise(cuts.tolist()))

    def plan(self, devices: np.ndarray, round: int, steps: int | None = None) -> tuple[Tensor, np.ndarray]:
        """The mini-batches of some devices in a round: rows (B, T, b), on the run's device, and counts (B, T).

        The t-th batch of the k-th of them is rows[k, t, : counts[k, t]]; its count is 0 where its phase has ended.
        """
        schedules = [self.schedule(int(device), round, steps) for device in devices]
        counts = np.zeros((len(devices), max(len(cuts) for _, cuts in schedules) - 1), dtype=np.int64)
        for count, (_, cuts) in zip(counts, schedules, strict=True):
            count[: len(cuts) - 1] = np.diff(cuts)
        rows = np.zeros((*counts.shape, counts.max()), dtype=np.int64)
        rows[np.arange(counts.max()) < counts[:, :, None]] = np.concatenate([order for order, _ in schedules])
        return torch.from_numpy(rows).to(self.inputs.device), counts

    def samples(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (B, b, ...) and targets (B, b) or (B, b, C) of rows (B, b)."""
        return self.inputs[rows], self.targets[rows]


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
        self.sizes = torch.from_numpy(np.array([len(shard) for shard in data.shards])).to(data.inputs.device, dtype)

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
        out, size = torch.empty_like(x), self.model.block if x.device.type == "cpu" else len(x)
        with full_precision(x.device):
            for devices in np.split(np.arange(len(x)), range(size, len(x), size)):
                rows, counts = self.data.plan(devices, self.round, steps=1)
                for some in together(counts[:, 0]):
                    few = slice(devices[some.start], devices[some.stop - 1] + 1)
                    self.model.gradient(x[few], *self.data.samples(rows[some, 0, : counts[some.start, 0]]), out[few])
        return out


class TorchLearner:
    """Any model: the gradients of `p2pl.batched`, a block of devices at a time.

    block: how many devices take a step together; all of them, in lock-step, on an accelerator, if left out.
    """

    library = None

    def __init__(self, model: BatchedModel, data: LocalData, block: int | None = None) -> None:
        self.model, self.data, self.device = model, data, data.inputs.device
        self.block = block or (model.block if self.device.type == "cpu" else len(data.shards))
        self.name = torch_on(self.device)

    def learn(self, x: Tensor, velocity: Tensor, devices: np.ndarray, round: int, drift: Tensor | None) -> None:
        """See `Learner.learn`."""
        with own_numbers(self.device), full_precision(self.device):
            for block in self._blocks(devices):
                self._learn_block(x, velocity, block, round, drift)

    def outputs(self, x: Tensor, inputs: Tensor) -> Tensor:
        """See `Learner.outputs`."""
        with full_precision(self.device):
            return self.model.forward(x, inputs.unsqueeze(0))

    def _blocks(self, devices: np.ndarray) -> Iterator[np.ndarray]:
        """A few devices at a time, those with the most samples first."""
        order = np.argsort([-len(self.data.shards[k]) for k in devices], kind="stable")
        yield from (devices[order[i : i + self.block]] for i in range(0, len(devices), self.block))

    def _learn_block(self, x: Tensor, velocity: Tensor, block: np.ndarray, round: int, drift: Tensor | None) -> None:
        """The learning phase of one block, in the order of the block. All devices are turned where they lie.

        For lock-step has no room for another copy of all.
        """
        if np.array_equal(block, np.arange(len(x))):
            self._epoch(x, velocity, block, round, drift)
            return
        rows = torch.from_numpy(block).to(x.device)
        pull = None if drift is None else drift[rows]
        if len(block) < len(x):
            held, speed = x[rows], velocity[rows]
            self._epoch(held, speed, block, round, pull)
            x[rows], velocity[rows] = held, speed
            return
        for part in (x, velocity):
            part.copy_(part[rows])
        self._epoch(x, velocity, block, round, pull)
        back = torch.argsort(rows)
        for part in (x, velocity):
            part.copy_(part[back])

    def _epoch(self, x: Tensor, velocity: Tensor, block: np.ndarray, round: int, drift: Tensor | None) -> None:
        """The learning phase of (B, P) parameters, in place: the t-th step of every device that has one, for all t.

        Neighbours in the block whose t-th batches are of one size take the step together.
        """
        training = self.data.training
        # The gradient is added to the velocity where that lies, if nothing else needs it: one pass over memory less.
        direct = training.momentum > 0 and not (training.nesterov or training.weight_decay)
        gradient = velocity if direct else torch.empty_like(x)
        rows, counts = self.data.plan(block, round)
        steps = torch.from_numpy(np.count_nonzero(counts, axis=1)).to(x)[:, None]
        seed_modules(int(stream(self.data.seed, "model", int(block[0]), round).integers(2**63)), self.device)
        for t, column in enumerate(counts.T):
            for some in together(column):
                batch = self.data.samples(rows[some, t, : column[some.start]])
                if direct:
                    self.model.gradient(x[some], *batch, velocity[some], keep=training.momentum)
                    x[some].add_(velocity[some], alpha=-training.lr)
                else:
                    self._step(x[some], velocity[some], gradient[some], *batch)
                if drift is not None:
                    x[some] += drift[some] / steps[some]

    def _step(self, x: Tensor, velocity: Tensor, gradient: Tensor, inputs: Tensor, targets: Tensor) -> None:
        """One step of SGD in its full form, in place; `gradient` is scratch."""
        training = self.data.training
        self.model.gradient(x, inputs, targets, gradient)
        if training.weight_decay:
            gradient.add_(x, alpha=training.weight_decay)
        if training.momentum:
            velocity.mul_(training.momentum).add_(gradient)
            gradient = gradient.add_(velocity, alpha=training.momentum) if training.nesterov else velocity
        x.add_(gradient, alpha=-training.lr)


def together(counts: np.ndarray) -> Iterator[slice]:
    """Slices of neighbours whose batches are of one size, (B,); empty ones are left out."""
    cuts = [0, *(np.flatnonzero(np.diff(counts)) + 1).tolist(), len(counts)]
    yield from (slice(begin, end) for begin, end in pairwise(cuts) if counts[begin])
