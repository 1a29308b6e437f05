"""First parameters that cost no communication."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from p2pl.channel import Channel
from p2pl.registry import initialization


@initialization
def independent(draws: Tensor) -> Tensor:
    """Each device keeps its own random draw."""
    return draws


@initialization
def shared(draws: Tensor) -> Tensor:
    """All devices draw with one seed that they agreed on before: a common start without a message."""
    return draws[:1].repeat(len(draws), 1)


@initialization
def centrality_gain(draws: Tensor, channel: Channel) -> Tensor:
    """Own draws, scaled up by 1 / ||v||_2, v the stationary weights of the graph: mixing will shrink them to size.

    Averaging independent draws with weights v leaves a model ||v|| times as large; the gain undoes that in advance.
    Our reading of Badie-Modiri et al., arXiv 2403.15855, who estimate v from the graph, as here.
    """
    return draws * float(1 / np.linalg.norm(channel.stationary))
