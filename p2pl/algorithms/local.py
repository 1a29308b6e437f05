"""The two ends between which cooperation lies: every device alone, and all data in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from p2pl.algorithm import Parameters, Work
from p2pl.channel import Channel
from p2pl.registry import algorithm


class LocalSGD:
    """SGD with momentum, and nothing said to anybody."""

    phases: ClassVar = ("learn", "cooperate")

    def start(self, x0: Tensor, work: Work) -> Parameters:
        return Parameters(x0, x0.new_zeros(x0.shape))

    def learn(self, state: Parameters, work: Work) -> Parameters:
        return Parameters(*work.train(state.x, state.velocity))

    def cooperate(self, state: Parameters, channel: Channel) -> Parameters:
        return state

    def models(self, state: Parameters) -> Tensor:
        return state.x


@algorithm(name="isolated", graph=False)
@dataclass(frozen=True)
class Isolated(LocalSGD):
    """Each device learns from its own data alone: what cooperation must beat."""


@algorithm(name="centralized", graph=False, pooled=True)
@dataclass(frozen=True)
class Centralized(LocalSGD):
    """All data on one device, SGD with momentum: what cooperation can hope for."""
