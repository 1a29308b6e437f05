"""The same for everyone."""

from __future__ import annotations

import numpy as np

from p2pl.data import Integers, apportion
from p2pl.registry import sizes
from p2pl.sizes._nonempty import nonempty


@sizes
def equal(samples: int, devices: int) -> Integers:
    """The same number of samples on every device; if they do not divide, the first devices have one more.

    Raises SpecError if there are more devices than samples.
    """
    return nonempty(apportion(np.ones(devices), samples), "equal")
