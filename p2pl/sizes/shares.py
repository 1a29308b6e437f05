"""Sizes as given."""

from __future__ import annotations

from p2pl.data import Integers, apportion
from p2pl.registry import Positive, SpecError, sizes
from p2pl.sizes._nonempty import nonempty


@sizes
def shares(samples: int, devices: int, shares: list[Positive]) -> Integers:
    """In proportion to the given list, one number a device in order; the numbers need not add up to 1.

    Raises SpecError if the list has another length, or if a share is too small for one sample.
    """
    if len(shares) != devices:
        raise SpecError(f"sizes 'shares': {len(shares)} shares are given for {devices} devices; give one a device")
    return nonempty(apportion(shares, samples), "shares")
