"""New memory for (K, P) tensors. NumPy asks the system for huge pages where torch does not: a copy takes a third."""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor

from p2pl.registry import SpecError

TENSORS = 5  # of K x P numbers: parameters and velocities, old and new while devices learn, and what is in passing


def empty_like(x: Tensor) -> Tensor:
    """An uninitialized, contiguous tensor of x's shape and type."""
    if x.device.type != "cpu":
        return torch.empty_like(x, memory_format=torch.contiguous_format)
    return torch.from_numpy(np.empty(x.shape, dtype=x[:0].numpy().dtype))


def copy_of(x: Tensor) -> Tensor:
    """A contiguous copy."""
    return empty_like(x).copy_(x)


def address(array: np.ndarray | Tensor | None) -> int | None:
    """Where its numbers begin, for libraries in other languages; None for None."""
    if array is None:
        return None
    return array.data_ptr() if isinstance(array, Tensor) else int(array.ctypes.data)


def check_room(devices: int, parameters: int, dtype: torch.dtype) -> None:
    """Raises SpecError, before anything is drawn, if that many models will not fit into this machine's memory."""
    needed = TENSORS * devices * parameters * dtype.itemsize
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise SpecError(
            f"{devices:,} devices of {parameters:,} parameters need some {needed / 1e9:,.1f} GB, and this machine has"
            f" {there / 1e9:,.1f} GB: fewer devices or a smaller model would do"
        )
