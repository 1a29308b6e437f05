"""AdaGossip: compressed gossip whose step size is adapted, value by value, to the size of what is gossiped.

    learn       x <- x - lr V(x)
    cooperate   h <- h + C(x - h),   d = W h - h                                    only C(x - h) is sent
                s <- beta s + (1 - beta) d^2,   x <- x + min(1, gamma / (sqrt(s / (1 - beta^t)) + eps)) d

Aketi, Hashemi, Roy (2024), "AdaGossip: Adaptive Consensus Step-size for Decentralized Deep Learning with Communication
Compression", arXiv 2404.05919: CHOCO-SGD with the step of Adam, without its first moment, for the gossip error d of
round t. That s has its bias taken out and that no value goes further than to the mean of what is known of it are as in
the authors' code (github.com/aparna-aketi/AdaG_SGD), and so are beta and eps. gamma is a distance here: as far as a
value moves in a round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor

from p2pl.algorithm import Work, known_to_all
from p2pl.channel import Channel
from p2pl.registry import Positive, Probability, SpecError, algorithm


class State(NamedTuple):
    """x, velocity: (K, P). h: (K, P) public copies. second: (K, P) mean squares of the gossip error."""

    x: Tensor
    velocity: Tensor
    h: Tensor
    second: Tensor


@algorithm(name="adagossip", needs=("doubly stochastic", "static", "no failures"), compresses=True, tensors=4)
@dataclass(frozen=True)
class AdaGossip:
    """AdaGossip: compressed gossip with an adaptive consensus step size for each value."""

    gamma: Positive = 0.01
    beta: Probability = 0.999
    eps: Positive = 1e-8

    phases: ClassVar = ("learn", "cooperate")

    def __post_init__(self) -> None:
        if self.beta == 1:
            raise SpecError("algorithm 'adagossip', option 'beta': expected a number from 0 to below 1, got 1")

    def start(self, x0: Tensor, work: Work) -> State:
        return State(x0, x0.new_zeros(x0.shape), known_to_all(x0), x0.new_zeros(x0.shape))

    def learn(self, state: State, work: Work) -> State:
        x, velocity = work.train(state.x, state.velocity)
        return state._replace(x=x, velocity=velocity)

    def cooperate(self, state: State, channel: Channel) -> State:
        message = channel.compress(state.x - state.h)
        h = state.h + message.values
        (mixed,) = channel.mix(h, said=(message,))
        error = mixed.sub_(h)
        second = self.beta * state.second + (1 - self.beta) * error.square()
        typical = (second / (1 - self.beta**channel.round)).sqrt()
        step = (self.gamma / (typical + self.eps)).clamp(max=1.0)
        return state._replace(x=state.x + step * error, h=h, second=second)

    def models(self, state: State) -> Tensor:
        return state.x
