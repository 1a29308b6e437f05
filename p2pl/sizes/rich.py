"""Highly skewed sizes, "1 % / 99 %". The source does not say what of; here are two readings."""

from __future__ import annotations

import numpy as np

from p2pl.data import Integers, apportion
from p2pl.registry import Natural, Probability, SpecError, sizes
from p2pl.sizes._nonempty import nonempty


@sizes
def one_rich(samples: int, devices: int, share: Probability = 0.99, device: Natural = 0) -> Integers:
    """One device has the given share of all samples, the others split the rest equally: 99 % against 1 %.

    One reading of the "1 % / 99 %" of the summary; `few_rich` is another (with 100 devices they differ only in that
    here the rich device is chosen, not drawn). A single device has everything. Raises SpecError if there is no such
    device, or if the others would have none.
    """
    if device >= devices:
        raise SpecError(f"sizes 'one_rich': there is no device {device}; the devices are 0..{devices - 1}")
    return _rich(samples, devices, np.array([device]), share, "one_rich")


@sizes
def few_rich(
    samples: int, devices: int, rng: np.random.Generator, fraction: Probability = 0.01, share: Probability = 0.99
) -> Integers:
    """A fraction of the devices (at least one, drawn) splits a share of the samples equally, the others split the rest.

    The other reading of "1 % / 99 %": 1 % of the devices have 99 % of the data. Raises SpecError if a device would have
    no sample.
    """
    rich = rng.permutation(devices)[: max(1, round(fraction * devices))]
    return _rich(samples, devices, rich, share, "few_rich")


def _rich(samples: int, devices: int, rich: Integers, share: float, rule: str) -> Integers:
    others = max(1, devices - len(rich))
    shares = np.full(devices, (1 - share) / others)
    shares[rich] = share / len(rich)
    if shares.sum() == 0:
        raise SpecError(f"sizes '{rule}': a share of 0 for every device there is")
    return nonempty(apportion(shares, samples), rule)
