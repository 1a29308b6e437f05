"""No device without data."""

from __future__ import annotations

from p2pl.data import Integers
from p2pl.registry import SpecError


def nonempty(counts: Integers, rule: str) -> Integers:
    """The counts (K,) unchanged. Raises SpecError if a device would have no sample."""
    empty = int((counts == 0).sum())
    if empty:
        raise SpecError(
            f"sizes '{rule}': {empty} of {len(counts)} devices would have none of the {counts.sum()} samples, "
            f"device {int(counts.argmin())} for one; take more samples, fewer devices or less unequal sizes"
        )
    return counts
