"""No difference between devices but chance."""

from __future__ import annotations

import numpy as np

from p2pl.data import Integers
from p2pl.partitions._blocks import blocks
from p2pl.registry import partition


@partition
def iid(labels: Integers, sizes: Integers, rng: np.random.Generator) -> list[Integers]:
    """Samples shuffled and dealt out: every device's data are a uniform draw without replacement.

    Meets `sizes` exactly.
    """
    return blocks(rng.permutation(len(labels)), sizes)
