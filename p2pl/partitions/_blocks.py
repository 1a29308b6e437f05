"""Cutting an order of the samples into one piece a device."""

from __future__ import annotations

import numpy as np

from p2pl.data import Integers


def blocks(order: Integers, sizes: Integers) -> list[Integers]:
    """Consecutive pieces of `order` (N,) of the given sizes (K,), each sorted."""
    return [np.sort(piece) for piece in np.split(order, np.cumsum(sizes)[:-1])]
