"""Decentralized SGD with momentum, in both orders of its two phases.

    adapt then combine   X <- W (X - lr V)        learn, then cooperate
    combine then adapt   X <- W X - lr V(W X)     cooperate, then learn

With `training.steps: 1` these are the diffusion forms of Sayed (2014, "Adaptation, Learning, and Optimization over
Networks", chapter 7); with more steps or epochs, local DSGD. For a constant W and a common start the parameters of
the two differ by one averaging: X_atc(t) = W X_cta(t).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from p2pl.algorithm import Parameters, Work
from p2pl.channel import Channel
from p2pl.registry import algorithm


@algorithm(name="dsgd", needs=("row stochastic",))
@dataclass(frozen=True)
class DSGD:
    """Gossip SGD: one learning phase, one averaging, as adapt-then-combine (atc) or combine-then-adapt (cta)."""

    order: Literal["atc", "cta"] = "atc"

    @property
    def phases(self) -> tuple[str, str]:
        return ("learn", "cooperate") if self.order == "atc" else ("cooperate", "learn")

    def start(self, x0: Tensor, work: Work) -> Parameters:
        return Parameters(x0, x0.new_zeros(x0.shape))

    def learn(self, state: Parameters, work: Work) -> Parameters:
        return Parameters(*work.train(state.x, state.velocity))

    def cooperate(self, state: Parameters, channel: Channel) -> Parameters:
        return state._replace(x=channel.mix(state.x)[0])

    def models(self, state: Parameters) -> Tensor:
        return state.x
