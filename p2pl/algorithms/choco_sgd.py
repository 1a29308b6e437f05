"""CHOCO-SGD: devices keep public copies h of one another's parameters, and send compressed differences to them.

    learn       x <- x - lr V(x)
    cooperate   q = C(x - h),   h <- h + q,   x <- x + gamma (W h - h)              only q is sent

Koloskova, Stich, Jaggi (2019), "Decentralized Stochastic Optimization and Gossip Algorithms with Compressed
Communication", arXiv 1902.00340, algorithm 2. Every neighbour must hear every q: a message lost for good would leave
two different copies. h starts at 0, as there; or at a start that all have in common, which nobody needs to be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor

from p2pl.algorithm import Work, consensus_step, gossip_step, known_to_all
from p2pl.channel import Channel
from p2pl.registry import Positive, Probability, algorithm


class State(NamedTuple):
    """x, velocity: (K, P). h: (K, P) public copies."""

    x: Tensor
    velocity: Tensor
    h: Tensor


@algorithm(name="choco_sgd", needs=("doubly stochastic", "static", "no failures"), compresses=True, tensors=3)
@dataclass(frozen=True)
class ChocoSGD:
    """CHOCO-SGD: gossip of compressed differences to public copies, with consensus step size gamma."""

    gamma: Probability | None = None
    reach: Positive = 1.5

    phases: ClassVar = ("learn", "cooperate")

    def start(self, x0: Tensor, work: Work) -> State:
        return State(x0, x0.new_zeros(x0.shape), known_to_all(x0))

    def learn(self, state: State, work: Work) -> State:
        x, velocity = work.train(state.x, state.velocity)
        return state._replace(x=x, velocity=velocity)

    def cooperate(self, state: State, channel: Channel) -> State:
        message = channel.compress(state.x - state.h)
        h = state.h + message.values
        (mixed,) = channel.mix(h, said=(message,))
        gamma = consensus_step(self.gamma, self.reach, message)
        return state._replace(x=gossip_step(state.x, gamma, mixed, h), h=h)

    def models(self, state: State) -> Tensor:
        return state.x
