"""Mixing by the native library: see `p2pl.products.Product`."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from p2pl.memory import address, empty_like
from p2pl.native.library import Exchange, Library
from p2pl.transmission import Weights

CACHED = 131_072  # values of a piece of columns, in all rows that are at work at a time: half a megabyte of float32


class NativeProduct:
    """W x for (K, P) tensors of float32, with the weights of one exchange prepared.

    Messages that never arrive, of weight 0, are left out.
    """

    def __init__(self, library: Library, weights: Weights) -> None:
        self.library = library
        own, link = (part if part.ndim == 2 else part[:, None] for part in (weights.own, weights.link))
        kept = np.flatnonzero(link.any(axis=1))
        order = kept[np.argsort(weights.receivers[kept], kind="stable")]
        receivers, devices = weights.receivers[order], len(weights.own)
        self.senders = np.ascontiguousarray(weights.senders[order], dtype=np.int64)
        self.first = np.searchsorted(receivers, np.arange(devices + 1)).astype(np.int64)
        self.own = np.ascontiguousarray(own, dtype=np.float32)
        self.link = np.ascontiguousarray(link[order], dtype=np.float32)
        # How many rows lie between a row and those that it hears, on average: what is at work together.
        span = 1 + 2 * float(np.abs(self.senders - receivers).mean()) if len(order) else 1.0
        self.exchange = Exchange(packets=own.shape[1], piece=max(128, int(CACHED / span)))
        self.exchange.first, self.exchange.sender = address(self.first), address(self.senders)
        self.exchange.own, self.exchange.weight = address(self.own), address(self.link)

    def __call__(self, now: Tensor, then: Tensor, packet: int) -> Tensor:
        """See `p2pl.products.Product`."""
        now, then = now.contiguous(), then.contiguous()
        out, exchange = empty_like(now), self.exchange
        exchange.devices, exchange.columns = now.shape
        exchange.packet = packet if exchange.packets > 1 else now.shape[1]
        exchange.now, exchange.then, exchange.out = now.data_ptr(), then.data_ptr(), out.data_ptr()
        self.library.mix(exchange)
        return out
