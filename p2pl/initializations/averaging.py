"""First parameters by consensus: devices average their draws before they learn."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from p2pl.channel import Channel
from p2pl.registry import Positive, initialization


def average(draws: Tensor, channel: Channel, fraction: float) -> Tensor:
    """ceil(fraction * diameter) mixing steps with the run's own weights."""
    x = draws
    for _ in range(math.ceil(fraction * channel.diameter)):
        (x,) = channel.mix(x)
    return x


@initialization
def averaged(draws: Tensor, channel: Channel, fraction: Positive = 1.0) -> Tensor:
    """Consensus averaging of independent draws, as many steps as an election would take (times `fraction`).

    The average of K independent draws is about sqrt(K) times shorter than each of them.
    """
    return average(draws, channel, fraction)


@initialization
def averaged_rescaled(draws: Tensor, channel: Channel, fraction: Positive = 1.0) -> Tensor:
    """The same averaging, then each device stretches its model back to the norm that its own draw had.

    The idea of variance-corrected averaging (arXiv 2404.04616), applied once, at the start; our reading.
    """
    x = average(draws, channel, fraction)
    stretch = torch.linalg.vector_norm(draws, dim=1) / torch.linalg.vector_norm(x, dim=1)
    rescaled: Tensor = x * stretch.unsqueeze(1)
    return rescaled
