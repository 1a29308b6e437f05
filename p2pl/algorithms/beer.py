"""BEER: gradient tracking over compressed gossip, of parameters and of tracked gradients.

    learn       x' = x - lr v                   v = U(x) - c,   U: velocity of SGD at x (its gradient, if no momentum)
    cooperate   h <- h + C(x - h),   g <- g + C(v - g)              both compressed differences are sent
                x <- x' + gamma (W h - h)
                c <- c - gamma (W g - g)

so that v follows the mean of all devices' gradients: v_t = v_{t-1} + gamma (W g - g) + U_t - U_{t-1}. Zhao et al.
(2022), "BEER: Fast O(1/T) Rate for Decentralized Nonconvex Optimization with Communication Compression", arXiv
2201.13320, algorithm 1, written with the correction c = U - v. With several local steps U is their sum, and all of it
tracked (our extension). Without compression and with gamma = 1 it is gradient tracking. Public copies as in CHOCO-SGD.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor

from p2pl.algorithm import Work, consensus_step, gossip_step, known_to_all
from p2pl.channel import Channel
from p2pl.registry import Positive, Probability, algorithm


class State(NamedTuple):
    """x, velocity: (K, P). before: x before learning. v, c, h, g: as above, (K, P)."""

    x: Tensor
    velocity: Tensor
    before: Tensor
    v: Tensor
    c: Tensor
    h: Tensor
    g: Tensor


@algorithm(name="beer", needs=("doubly stochastic", "static", "no failures"), compresses=True, tensors=7)
@dataclass(frozen=True)
class BEER:
    """BEER: gradient tracking with compressed parameters and gradients, and consensus step size gamma."""

    gamma: Probability | None = None
    reach: Positive = 1.5

    phases: ClassVar = ("learn", "cooperate")

    def start(self, x0: Tensor, work: Work) -> State:
        zero = x0.new_zeros(x0.shape)
        return State(x0, zero, x0, zero, zero, known_to_all(x0), zero)

    def learn(self, state: State, work: Work) -> State:
        x, velocity = work.train(state.x, state.velocity, drift=work.lr * state.c)
        return state._replace(x=x, velocity=velocity, before=state.x, v=(state.x - x) / work.lr)

    def cooperate(self, state: State, channel: Channel) -> State:
        position, slope = channel.compress(state.before - state.h), channel.compress(state.v - state.g)
        h, g = state.h + position.values, state.g + slope.values
        mixed_h, mixed_g = channel.mix(h, g, said=(position, slope))
        gamma = consensus_step(self.gamma, self.reach, position, slope)
        x, c = gossip_step(state.x, gamma, mixed_h, h), gossip_step(state.c, -gamma, mixed_g, g)
        return state._replace(x=x, c=c, h=h, g=g)

    def models(self, state: State) -> Tensor:
        return state.x
