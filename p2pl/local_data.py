"""Who holds which samples, and the order in which they are met.

Each device has its own order in each round, from a stream of its own: the same for every algorithm, for every engine,
and for the theory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from p2pl.augmentation import draw_views, flip_crop
from p2pl.groups import Training
from p2pl.seeds import stream


class Plan(NamedTuple):
    """The mini-batches of some devices in a round. rows: (B, T, b), on the run's device. counts: (B, T).

    The t-th batch of the k-th of them is rows[k, t, : counts[k, t]]; its count is 0 where its phase has ended. views:
    (B, T, b, 3), see `p2pl.augmentation`; None where samples are taken as they are.
    """

    rows: Tensor
    counts: np.ndarray
    views: Tensor | None


class LocalData:
    """The training samples, and which of them each device holds; the order in which it meets them.

    inputs: (N, ...). targets: (N,) class numbers or (N, C) values; both on the run's device. shards: K arrays of row
    numbers. factors: (rounds + 1,) by which the learning rate is multiplied in each round; all 1 if left out.
    """

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor,
        shards: list[np.ndarray],
        training: Training,
        seed: int,
        factors: Sequence[float] | None = None,
    ) -> None:
        self.inputs, self.targets, self.shards = inputs, targets, shards
        self.training, self.seed, self.factors = training, seed, factors
        self.names = np.arange(len(shards))  # by which devices draw their orders and views

    def rate(self, round: int) -> float:
        """The learning rate of a round."""
        return float(self.training.lr) * (1.0 if self.factors is None else self.factors[round])

    def cuts(self, device: int, steps: int | None = None) -> np.ndarray:
        """(steps + 1,): batch t of a device's phase is the samples number cuts[t], ..., cuts[t + 1] - 1 that it meets.

        `steps` of them, or as the spec says: the same in every round. The last of a pass over its data may be smaller.
        """
        training, held = self.training, len(self.shards[device])
        size = self.size(device)
        a_pass = -(-held // size)
        t = np.arange((steps or training.steps or (training.epochs or 1) * a_pass) + 1)
        cuts: np.ndarray = t // a_pass * held + t % a_pass * size
        return cuts

    def size(self, device: int) -> int:
        """How many samples a batch has."""
        size = self.training.batch_size
        return len(self.shards[device]) if size == "full" else min(int(size), len(self.shards[device]))

    def schedule(self, device: int, round: int, steps: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """A device's mini-batches in a round: row numbers (S,) in the order in which they are met, and their `cuts`.

        Each pass over the data is a new permutation. A full batch is the shard in its own order.
        """
        shard, cuts = self.shards[device], self.cuts(device, steps)
        rng = None if self.size(device) == len(shard) else stream(self.seed, "batches", int(self.names[device]), round)
        passes = range(-(-int(cuts[-1]) // len(shard)))
        return np.concatenate([shard if rng is None else rng.permutation(shard) for _ in passes])[: cuts[-1]], cuts

    def batches(self, device: int, round: int, steps: int | None = None) -> Iterator[np.ndarray]:
        """The same as row numbers of one batch after another."""
        order, cuts = self.schedule(device, round, steps)
        yield from (order[begin:end] for begin, end in pairwise(cuts.tolist()))

    def plan(self, devices: np.ndarray, round: int, steps: int | None = None) -> Plan:
        """The mini-batches of some devices in a round."""
        schedules = [self.schedule(int(device), round, steps) for device in devices]
        counts = np.zeros((len(devices), max(len(cuts) for _, cuts in schedules) - 1), dtype=np.int64)
        for count, (_, cuts) in zip(counts, schedules, strict=True):
            count[: len(cuts) - 1] = np.diff(cuts)
        taken = np.arange(counts.max()) < counts[:, :, None]
        rows = np.zeros(taken.shape, dtype=np.int64)
        rows[taken] = np.concatenate([order for order, _ in schedules])
        where = self.inputs.device
        if self.training.augment == "none":
            return Plan(torch.from_numpy(rows).to(where), counts, None)
        views = np.zeros((*taken.shape, 3), dtype=np.int64)
        met = [(int(self.names[device]), len(order)) for device, (order, _) in zip(devices, schedules, strict=True)]
        views[taken] = np.concatenate([draw_views(self.seed, device, round, count) for device, count in met])
        return Plan(torch.from_numpy(rows).to(where), counts, torch.from_numpy(views).to(where))

    def samples(self, plan: Plan, some: slice, step: int) -> tuple[Tensor, Tensor]:
        """Inputs (B, b, ...) and targets (B, b) or (B, b, C) of the step-th batches of some devices of a plan.

        Their batches are of one size.
        """
        size = plan.counts[some.start, step]
        rows = plan.rows[some, step, :size]
        inputs = self.inputs.index_select(0, rows.flatten()).view(*rows.shape, *self.inputs.shape[1:])  # 3 x indexing
        if plan.views is not None:
            inputs = flip_crop(inputs, plan.views[some, step, :size])
        return inputs, self.targets[rows]
