"""Leaderless elections: devices pass on the parameters of the best candidate they know of.

After diameter(G) loss-free rounds all hold those of one device. P2PL elects by the largest norm (max norm
synchronization); the others are its controls: is it the *largest* norm that matters, or a *common* start?
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from p2pl.channel import Channel
from p2pl.registry import Probability, initialization


def elect(draws: Tensor, channel: Channel, score: np.ndarray, fraction: float) -> Tensor:
    """Run ceil(fraction * diameter) rounds of the election by `score` (K,); every device ends with its leader's row."""
    owners = np.arange(len(draws))
    rank = np.empty(len(draws), dtype=np.int64)
    rank[np.lexsort((-owners, score))] = owners  # ties go to the lower number
    for _ in range(math.ceil(fraction * channel.diameter)):
        owners = channel.adopt(owners, rank, draws[0].numel() * draws.element_size())
    return draws[owners]


def norms(draws: Tensor) -> np.ndarray:
    """(K,) Frobenius norms of whole models, in float64."""
    lengths: np.ndarray = torch.linalg.vector_norm(draws.double(), dim=1).cpu().numpy()
    return lengths


@initialization
def max_norm(draws: Tensor, channel: Channel, fraction: Probability = 1.0) -> Tensor:
    """Max norm synchronization: adopt the parameters of largest norm among oneself and those heard, diameter times.

    P2PL, arXiv 2310.18861 (from its summary; the norm of the whole model is our reading). `fraction` of the diameter's
    rounds, rounded up.
    """
    return elect(draws, channel, norms(draws), fraction)


@initialization
def min_norm(draws: Tensor, channel: Channel, fraction: Probability = 1.0) -> Tensor:
    """The same election by the *smallest* norm: the control for whether the largest one matters."""
    return elect(draws, channel, -norms(draws), fraction)


@initialization
def random_leader(draws: Tensor, channel: Channel, rng: np.random.Generator, fraction: Probability = 1.0) -> Tensor:
    """The same election by a random number: a common start that no norm has chosen."""
    return elect(draws, channel, rng.random(len(draws)), fraction)
