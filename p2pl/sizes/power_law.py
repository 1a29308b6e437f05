"""A few large devices, many small ones."""

from __future__ import annotations

import numpy as np

from p2pl.data import Integers, apportion
from p2pl.registry import NonNegative, sizes
from p2pl.sizes._nonempty import nonempty


@sizes
def power_law(samples: int, devices: int, rng: np.random.Generator, exponent: NonNegative = 1.0) -> Integers:
    """The r-th richest device has samples in proportion to r^-exponent (Zipf's law at 1, equal sizes at 0).

    Which device is the r-th richest is drawn: in many graphs the place of a device depends on its number. To choose it,
    use `shares`. Raises SpecError if the poorest would have none.
    """
    ranks = 1.0 + rng.permutation(devices)
    return nonempty(apportion(ranks**-exponent, samples), "power_law")
