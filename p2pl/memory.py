"""New memory for (K, P) tensors. NumPy asks the system for huge pages where torch does not: a copy takes a third."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def empty_like(x: Tensor) -> Tensor:
    """An uninitialized, contiguous tensor of x's shape and type."""
    if x.device.type != "cpu":
        return torch.empty_like(x, memory_format=torch.contiguous_format)
    return torch.from_numpy(np.empty(x.shape, dtype=x[:0].numpy().dtype))


def copy_of(x: Tensor) -> Tensor:
    """A contiguous copy."""
    return empty_like(x).copy_(x)
