"""Class proportions drawn for each device."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from p2pl.data import Integers
from p2pl.registry import Positive, partition


@partition
def dirichlet(labels: Integers, sizes: Integers, rng: np.random.Generator, alpha: Positive = 0.5) -> list[Integers]:
    """Class proportions of each device drawn from a symmetric Dirichlet(alpha): large is near iid, small is one class.

    Devices in random order take their samples from the pools of the classes, without replacement; when a pool runs dry,
    the device's proportions over the other classes are used. So `sizes` are met exactly, and the last devices take what
    is left. After Hsu, Qi, Brown, arXiv 1909.06335 (with their prior uniform over classes).
    """
    known, label = np.unique(labels, return_inverse=True)
    shuffled = rng.permutation(len(label))
    pools = [shuffled[label[shuffled] == c] for c in range(len(known))]
    left = np.bincount(label)
    mine: list[Integers] = [np.empty(0, dtype=np.int64)] * len(sizes)
    for device in rng.permutation(len(sizes)):
        taken = _draw(rng.dirichlet(np.full(len(known), alpha)), left, int(sizes[device]), rng)
        # A pool is used up from its end.
        pieces = [pool[n - k : n] for pool, n, k in zip(pools, left, taken, strict=True)]
        mine[device] = np.sort(np.concatenate(pieces))
        left = left - taken
    return mine


def _draw(proportions: NDArray[np.float64], left: Integers, size: int, rng: np.random.Generator) -> Integers:
    """How many of each class (C,) a device of `size` samples takes, of those `left` (C,)."""
    taken = np.zeros_like(left)
    while taken.sum() < size:
        open_ = np.where(taken < left, proportions, 0.0)
        if open_.sum() == 0:  # small alpha: the proportions are 0 in floating point on every class that is left
            open_ = (left - taken).astype(np.float64)
        drawn = rng.multinomial(size - taken.sum(), open_ / open_.sum())
        taken = np.minimum(taken + drawn, left)
    return taken
