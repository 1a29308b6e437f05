"""Label skew by sorting: a dial from iid to contiguous classes."""

from __future__ import annotations

import numpy as np

from p2pl.data import Integers, apportion, rank_in_class
from p2pl.partitions._blocks import blocks
from p2pl.registry import Probability, partition


@partition
def skew(labels: Integers, sizes: Integers, rng: np.random.Generator, fraction: Probability = 0.5) -> list[Integers]:
    """The first `fraction` of each class sorted by label, the rest shuffled; device i has the i-th block of each pool.

    0 is iid, 1 gives each device contiguous classes, so that devices with near numbers have near classes. Blocks are in
    proportion to `sizes`, which are met exactly. After Hsieh et al., "The non-IID data quagmire", ICML 2020.
    """
    _, label, counts = np.unique(labels, return_inverse=True, return_counts=True)
    early = rank_in_class(label) < np.rint(fraction * counts)[label]
    pooled = np.flatnonzero(early)
    by_label = pooled[np.argsort(label[pooled], kind="stable")]
    shuffled = rng.permutation(np.flatnonzero(~early))
    # Largest remainders never exceed the next whole number, so no block is larger than its device's size.
    first = apportion(sizes, len(by_label))
    pieces = zip(blocks(by_label, first), blocks(shuffled, sizes - first), strict=True)
    return [np.sort(np.concatenate(pair)) for pair in pieces]
