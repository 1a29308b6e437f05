"""The values of largest magnitude by the native library: see `p2pl.compression.Largest`."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from torch import Tensor

from p2pl.memory import empty_like
from p2pl.native.library import WHOLE, Library, Selection


class NativeLargest:
    """As `p2pl.compression.largest`, for (K, P) of float32; of equal ones the first."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def __call__(self, x: Tensor, sizes: Sequence[int], counts: Sequence[int]) -> Tensor:
        x = x.contiguous()
        out = empty_like(x)
        given = [(WHOLE * len(sizes))(*numbers) for numbers in (sizes, counts)]
        places = [*map(ctypes.addressof, given), x.data_ptr(), out.data_ptr()]
        self.library.select(Selection(*x.shape, len(sizes), *places))
        return out
