"""What of a vector is sent, and what it weighs: the compressor of a run, with its random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from p2pl import registry
from p2pl.native.library import Library
from p2pl.native.selecting import NativeLargest
from p2pl.registry import Component
from p2pl.seeds import stream

INDEX_BYTES = 4


class Message(NamedTuple):
    """values: (K, P), what those who hear each device have decoded. bytes: of one device's message."""

    values: Tensor
    bytes: int


def bytes_of(said: Tensor | Message) -> int:
    """What one device's share of (K, P) weighs in a message."""
    return said.bytes if isinstance(said, Message) else said.shape[1] * said.element_size()


class Largest(Protocol):
    """Keeps the values of largest magnitude: given to compressors that ask for `largest`."""

    def __call__(self, x: Tensor, sizes: Sequence[int], counts: Sequence[int]) -> Tensor:
        """(K, P) with zeros for all but counts[i] values of the i-th part of each row, which has sizes[i] columns."""
        ...


class Compression:
    """A chosen compressor for parameters in such `layers`. The n-th vector of a round has random numbers of its own.

    library: the native one, if it is to compute. Raises SpecError for options that the compressor refuses.
    """

    def __init__(self, chosen: Component, layers: Sequence[int], seed: int, library: Library | None = None) -> None:
        self.layers, self.seed, self.compress = tuple(layers), seed, registry.compressor.bound(chosen)
        self.draws = "rng" in registry.compressor.entry(chosen.name).given
        self.native = NativeLargest(library) if library else None
        self(torch.zeros(1, sum(self.layers)), 0, 0)

    def __call__(self, x: Tensor, round: int, number: int) -> Message:
        rng = stream(self.seed, "compression", round, number) if self.draws else None
        keep: Largest = self.native if self.native and x.dtype == torch.float32 else largest
        message: Message = self.compress(x=x, layers=self.layers, rng=rng, largest=keep)
        return message


def largest(x: Tensor, sizes: Sequence[int], counts: Sequence[int]) -> Tensor:
    """See `Largest`; of equal magnitudes some, always the same."""
    out = torch.zeros_like(x)
    for part, place, count in zip(
        torch.split(x, list(sizes), 1), torch.split(out, list(sizes), 1), counts, strict=True
    ):
        columns = part.abs().topk(count, dim=1, sorted=False).indices
        place.scatter_(1, columns, part.gather(1, columns))
    return out


def kept(keep: float, total: int) -> int:
    """How many of `total` values are kept: max(1, floor(total keep))."""
    return max(1, int(total * keep + 1e-9))


def sparse_bytes(count: int, total: int, itemsize: int) -> int:
    """Of `count` values out of `total` with their places: an index each, or a bit for all of them; of all, none."""
    return count * itemsize + (0 if count == total else min(INDEX_BYTES * count, -(-total // 8)))
