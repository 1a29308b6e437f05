"""Who holds which samples, and the order in which they are met.

Each device has its own order in each round, from a stream of its own: the same for every algorithm, for every engine,
and for the theory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

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

    def schedule(self, device: int, round: int, steps: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """A device's mini-batches in a round: `steps` of them, or as the spec says.

        Row numbers (S,) in the order in which they are met, and cuts (steps + 1,): batch t is order[cuts[t] :
        cuts[t + 1]]. Each pass over the data is a new permutation, cut into batches; the last of a pass may be smaller.
        A full batch is the shard in its own order.
        """
        shard, training = self.shards[device], self.training
        size = len(shard) if training.batch_size == "full" else int(training.batch_size)
        rng = None if size >= len(shard) else stream(self.seed, "batches", device, round)
        a_pass = -(-len(shard) // size)
        steps = steps or training.steps or (training.epochs or 1) * a_pass
        orders, cuts = [], []
        for begun in range(0, steps, a_pass):
            order = shard if rng is None else rng.permutation(shard)
            starts = np.arange(min(a_pass, steps - begun)) * size
            orders.append(order[: starts[-1] + size])
            cuts.append(begun // a_pass * len(shard) + starts)
        met = np.concatenate(orders)
        return met, np.append(np.concatenate(cuts), len(met))

    def batches(self, device: int, round: int, steps: int | None = None) -> Iterator[np.ndarray]:
        """The same as row numbers of one batch after another."""
        order, cuts = self.schedule(device, round, steps)
        yield from (order[begin:end] for begin, end in pairwise(cuts.tolist()))

    def samples(self, batches: list[np.ndarray]) -> tuple[Tensor, Tensor]:
        """Inputs (B, b, ...) and targets (B, b) or (B, b, C) of batches of one size."""
        rows = torch.from_numpy(np.stack(batches))
        return self.inputs[rows], self.targets[rows]
