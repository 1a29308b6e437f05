"""A few classes a device: the strongest of the usual non-IID settings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from p2pl.data import Integers, apportion
from p2pl.registry import Count, SpecError, partition


@partition(meets_sizes=False)
def classes(labels: Integers, sizes: Integers, rng: np.random.Generator, per_device: Count = 2) -> list[Integers]:
    """Exactly `per_device` classes on every device, the classes held by equally many devices (within one).

    Each class is shared out among its holders so that the devices' sizes come as near to `sizes` as the numbers of
    samples of each class allow: they are met within rounding where that is possible, not otherwise (a device cannot
    have more than all samples of its classes). Weights by data size should use the sizes that come out. Setting after
    McMahan et al., AISTATS 2017, with classes in place of shards.

    Raises SpecError if there are fewer classes than `per_device`, if some class would be left without a device, or if
    a class has fewer samples than devices that hold it.
    """
    known, label = np.unique(labels, return_inverse=True)
    devices, counts = len(sizes), np.bincount(label)
    if per_device > len(known):
        raise SpecError(f"partition 'classes': {per_device} classes a device, but the data has {len(known)}")
    if per_device * devices < len(known):
        raise SpecError(
            f"partition 'classes': {devices} devices with {per_device} classes each leave some of the {len(known)} "
            f"classes on no device; per_device must be at least {-(-len(known) // devices)} here"
        )
    holds = _holders(devices, len(known), per_device, rng)
    scarce = int(np.argmin(counts - holds.sum(0)))
    if counts[scarce] < holds[:, scarce].sum():
        raise SpecError(
            f"partition 'classes': class {known[scarce]} has {counts[scarce]} samples for {holds[:, scarce].sum()} "
            f"devices that should hold it; take more samples, fewer devices or a smaller per_device"
        )
    mine: list[list[Integers]] = [[] for _ in range(devices)]
    shares = _shares(holds, sizes, counts)
    for c in range(len(known)):
        holders = np.flatnonzero(holds[:, c])
        pool = rng.permutation(np.flatnonzero(label == c))
        pieces = np.split(pool, np.cumsum(_at_least_one(shares[holders, c], len(pool)))[:-1])
        for device, piece in zip(holders, pieces, strict=True):
            mine[device].append(piece)
    return [np.sort(np.concatenate(pieces)) for pieces in mine]


def _holders(devices: int, known: int, per_device: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which device holds which class (devices, known): in a random order, each takes the classes least held so far."""
    holds = np.zeros((devices, known), dtype=bool)
    for device in rng.permutation(devices):
        held = holds.sum(0)
        holds[device, np.lexsort((rng.random(known), held))[:per_device]] = True
    return holds


def _shares(holds: NDArray[np.bool_], sizes: Integers, counts: Integers) -> NDArray[np.float64]:
    """How much of each class a holder takes (devices, known): rows aim at `sizes`, columns add up to `counts`.

    Iterative proportional fitting: it converges to both where both can be met, and otherwise meets the columns.
    """
    shares: NDArray[np.float64] = np.where(holds, sizes[:, None], 0).astype(np.float64)
    for _ in range(200):
        shares *= (sizes / shares.sum(1))[:, None]
        shares *= counts / shares.sum(0)
    return shares


def _at_least_one(shares: NDArray[np.float64], total: int) -> Integers:
    """`apportion`, with what is missing to one each taken from the largest."""
    amounts = apportion(shares, total)
    while amounts.min() == 0:
        amounts[amounts.argmax()] -= 1
        amounts[amounts.argmin()] += 1
    return amounts
