"""DeepSqueeze: devices send compressed parameters, and add what compression has lost to the next ones.

    learn       x <- x - lr V(x)
    cooperate   v = x + e,   c = C(v),   e <- v - c,   x <- x + gamma (W c - c)      only c is sent

Tang et al. (2019), "DeepSqueeze: Decentralization Meets Error-Compensated Compression", arXiv 1907.07346. Nobody keeps
copies of others, so messages may be lost and graphs may change; the error e grows as compression does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor

from p2pl.algorithm import Work, consensus_step, gossip_step
from p2pl.channel import Channel
from p2pl.registry import Positive, Probability, algorithm


class State(NamedTuple):
    """x, velocity: (K, P). error: (K, P) what has not been sent yet."""

    x: Tensor
    velocity: Tensor
    error: Tensor


@algorithm(name="deep_squeeze", needs=("doubly stochastic",), compresses=True, tensors=3)
@dataclass(frozen=True)
class DeepSqueeze:
    """DeepSqueeze: gossip of compressed parameters with error feedback, and consensus step size gamma."""

    gamma: Probability | None = None
    reach: Positive = 0.5

    phases: ClassVar = ("learn", "cooperate")

    def start(self, x0: Tensor, work: Work) -> State:
        return State(x0, x0.new_zeros(x0.shape), x0.new_zeros(x0.shape))

    def learn(self, state: State, work: Work) -> State:
        x, velocity = work.train(state.x, state.velocity)
        return state._replace(x=x, velocity=velocity)

    def cooperate(self, state: State, channel: Channel) -> State:
        wanted = state.x + state.error
        message = channel.compress(wanted)
        (mixed,) = channel.mix(message.values, said=(message,))
        gamma = consensus_step(self.gamma, self.reach, message)
        x = gossip_step(state.x, gamma, mixed, message.values)
        return state._replace(x=x, error=wanted - message.values)

    def models(self, state: State) -> Tensor:
        return state.x
