"""Stochastic gradient push: SGD over directed, time-varying graphs, whose columns sum to 1 and whose rows need not.

    learn       x <- x - lr V(z),       z = x / w       V: velocity of the heavy ball, or of Nesterov's form
    cooperate   x <- P_t x,   w <- P_t w                w = 1 at the start

P_t moves mass about and loses none: sum_k x_k stays what learning makes it, sum_k w_k stays K, and z_k converges to
the mean of x where x_k itself would converge to a multiple of it. Assran et al. (2019), "Stochastic Gradient Push for
Distributed Deep Learning", arXiv 1811.10792, algorithm 1; push-sum: Kempe, Dobra, Gehrke (2003). The weight travels
with the parameters: P + 1 numbers a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor

from p2pl.algorithm import Work
from p2pl.channel import Channel
from p2pl.registry import algorithm


class State(NamedTuple):
    """x: (K, P) numerators. w: (K, 1) weights. velocity: (K, P)."""

    x: Tensor
    w: Tensor
    velocity: Tensor


@algorithm(name="sgp", needs=("column stochastic",))
@dataclass(frozen=True)
class SGP:
    """Stochastic gradient push: push-sum averaging, for digraphs on which listeners are not equally many."""

    phases: ClassVar = ("learn", "cooperate")

    def start(self, x0: Tensor, work: Work) -> State:
        return State(x0, x0.new_ones(len(x0), 1), x0.new_zeros(x0.shape))

    def learn(self, state: State, work: Work) -> State:
        z = state.x / state.w
        learned, velocity = work.train(z, state.velocity)
        return state._replace(x=learned.sub_(z).add_(state.x), velocity=velocity)

    def cooperate(self, state: State, channel: Channel) -> State:
        x, w = channel.mix(state.x, state.w)
        return state._replace(x=x, w=w)

    def models(self, state: State) -> Tensor:
        return state.x / state.w
