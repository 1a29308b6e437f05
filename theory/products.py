"""A matrix times another's transpose, by the faster of the two libraries that torch carries.

In single precision that is oneDNN, which uses the widest vectors a processor has; MKL keeps to those of AVX2 on
processors that are not Intel's, and `@` is MKL's. Both are float32 throughout. See docs/theory.md for what it gives.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

THERE: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
SMALLEST = 32  # sides below which copying to oneDNN's memory, and back, takes longer than it saves


def times_transposed(left: Tensor, right: Tensor) -> Tensor:
    """left right', (n, m), of (n, w) and (m, w); the left one is copied, if it is float32 and not small."""
    if not (THERE and left.dtype == torch.float32 and min(left.shape) >= SMALLEST):
        return left @ right.T
    out: Tensor = F.linear(left.detach().to_mkldnn(), right).to_dense()
    return out


def rows_times(left: Tensor, right: Tensor) -> Tensor:
    """left right of (..., n, w) and (..., w, m). A single row goes by NumPy's OpenBLAS: half of MKL's time."""
    if left.shape[-2] > 1:
        return left @ right
    with np.errstate(over="ignore", invalid="ignore"):  # what diverges does
        return torch.from_numpy(left.numpy() @ right.numpy())


def pieces(end: int, size: int, begin: int = 0) -> Iterator[slice]:
    """range(begin, end), in slices of `size`; the last may be shorter."""
    yield from (slice(first, min(first + size, end)) for first in range(begin, end, size))
