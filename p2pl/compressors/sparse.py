"""Some values as they are, the others not at all.

A device sends the values and where they stand: 4 bytes of index each, or one bit for every value of the layer,
whichever is less. Of n values max(1, floor(n keep)) are kept, so that every layer says something.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from p2pl.compression import Largest, Message, kept, sparse_bytes
from p2pl.registry import Probability, SpecError, compressor

SEED_BYTES = 8


def checked(keep: float) -> float:
    """Raises SpecError for a share of 0, which `Probability` allows."""
    if keep == 0:
        raise SpecError("compression, option 'keep': expected a number above 0 and at most 1, got 0")
    return keep


@compressor(contracts=True)
def top_k(
    x: Tensor, layers: Sequence[int], largest: Largest, keep: Probability = 0.1, by_layer: bool = True
) -> Message:
    """The share `keep` of largest magnitude, of each layer or of the whole vector (Stich et al. 2018)."""
    sizes = layers if by_layer else (sum(layers),)
    counts = [kept(checked(keep), size) for size in sizes]
    sent = sum(sparse_bytes(count, size, x.element_size()) for count, size in zip(counts, sizes, strict=True))
    return Message(x if counts == list(sizes) else largest(x, sizes, counts), sent)


@compressor(contracts=True)
def random_k(x: Tensor, rng: np.random.Generator, keep: Probability = 0.1, unbiased: bool = False) -> Message:
    """A share `keep` of the values at random, each device its own; the places are a seed, from which listeners draw.

    unbiased: times n / k, so that the mean is x. That form does not contract, and gossip that feeds errors back, or
    keeps copies, may diverge by it.
    """
    total = x.shape[1]
    count = kept(checked(keep), total)
    if count == total:
        return Message(x, count * x.element_size())
    scores = torch.from_numpy(rng.random(x.shape, dtype=np.float32)).to(x.device)
    places = scores.topk(count, dim=1, sorted=False).indices
    values = torch.zeros_like(x).scatter_(1, places, x.gather(1, places)) * (total / count if unbiased else 1.0)
    return Message(values, count * x.element_size() + SEED_BYTES)
