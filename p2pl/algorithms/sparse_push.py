"""Sparse-Push: stochastic gradient push whose messages are compressed, over directed, time-varying graphs.

    learn       x <- x - lr V(z),   z = x / w                               as SGP; the step is not scaled by w
    cooperate   q = C(x - h),   h <- h + q                                  only q, and w, are sent
                x <- x + gamma (P_t h - h),   w <- w + gamma (P_t w - w)

Aketi, Singh, Rabaey (2021), arXiv 2102.05715; re-implemented from the abstract and from later papers of the group, so
the form is our reading. Here devices keep public copies h of one another, as in CHOCO-SGD, one for each graph of a
period. The other reading, `sparse_push_feedback`, keeps what was not sent, as DeepSqueeze: then graphs may be drawn
anew, and messages lost:

    cooperate   v = x + e,   q = C(v),   e <- v - q,   x <- x + gamma (P_t q - q),   w as above

Skew-Compensated Sparse-Push ends with `final_rounds` in which nobody learns and devices merge (our reading of a later
paper's remark): `dense`, x <- P_t x and w <- P_t w, uncompressed; or by `compressed` gossip as before.

The code of a later paper by the first author (github.com/aparna-aketi/Low_Precision_DL) has push-sum with both kinds
of memory, gamma for weights as for models, and ends with 50 rounds of compressed gossip alone; gamma is 0.01 there
where a hundredth is kept, less than `reach` makes of it. Which kind Sparse-Push had, and what its merging was, it does
not say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor

from p2pl.algorithm import Work, consensus_step, gossip_step, known_to_all
from p2pl.channel import Channel
from p2pl.registry import Natural, Positive, Probability, algorithm


class State(NamedTuple):
    """x: (K, P) numerators. w: (K, 1) weights. velocity: (K, P). memory: what is kept of what was sent, (K, P) each."""

    x: Tensor
    w: Tensor
    velocity: Tensor
    memory: tuple[Tensor, ...]


class Push:
    """What both readings share: learning, the last rounds if there are any, and the quotient."""

    phases: ClassVar = ("learn", "cooperate")
    gamma: float | None
    reach: float
    final_rounds = 0
    final = "dense"

    def learn(self, state: State, work: Work) -> State:
        if work.left < self.final_rounds:
            return state
        z = state.x / state.w
        learned, velocity = work.train(z, state.velocity)
        return state._replace(x=learned.sub_(z).add_(state.x), velocity=velocity)

    def cooperate(self, state: State, channel: Channel) -> State:
        if channel.left < self.final_rounds and self.final == "dense":
            x, w = channel.mix(state.x, state.w)
            return state._replace(x=x, w=w)
        return self.gossip(state, channel)

    def gossip(self, state: State, channel: Channel) -> State:
        """One compressed exchange."""
        raise NotImplementedError

    def models(self, state: State) -> Tensor:
        return state.x / state.w


class Replicas(Push):
    """With public copies, one for each graph of a period."""

    def start(self, x0: Tensor, work: Work) -> State:
        return State(x0, x0.new_ones(len(x0), 1), x0.new_zeros(x0.shape), (known_to_all(x0),))

    def gossip(self, state: State, channel: Channel) -> State:
        copies = state.memory if len(state.memory) == channel.periods else state.memory * channel.periods
        phase = channel.phase
        message = channel.compress(state.x - copies[phase])
        h = copies[phase] + message.values
        mixed, w = channel.mix(h, state.w, said=(message, state.w))
        gamma = consensus_step(self.gamma, self.reach, message)
        return state._replace(
            x=gossip_step(state.x, gamma, mixed, h),
            w=gossip_step(state.w, gamma, w, state.w),
            memory=(*copies[:phase], h, *copies[phase + 1 :]),
        )


@algorithm(name="sparse_push", needs=("column stochastic", "periodic", "no failures"), compresses=True, tensors=3)
@dataclass(frozen=True)
class SparsePush(Replicas):
    """Sparse-Push: push-sum gossip of compressed differences to public copies (our reading)."""

    gamma: Probability | None = None
    reach: Positive = 1.5


@algorithm(
    name="skew_compensated_sparse_push",
    needs=("column stochastic", "periodic", "no failures", "rounds to learn in"),
    compresses=True,
    tensors=3,
)
@dataclass(frozen=True)
class SkewCompensatedSparsePush(Replicas):
    """Sparse-Push whose last rounds only merge, against what compression does to non-IID devices (our reading)."""

    gamma: Probability | None = None
    reach: Positive = 1.5
    final_rounds: Natural = 5
    final: Literal["dense", "compressed"] = "dense"


@algorithm(name="sparse_push_feedback", needs=("column stochastic",), compresses=True, tensors=3)
@dataclass(frozen=True)
class SparsePushFeedback(Push):
    """Sparse-Push with error feedback in place of public copies (the other reading), for lossy and random graphs."""

    gamma: Probability | None = None
    reach: Positive = 0.5

    def start(self, x0: Tensor, work: Work) -> State:
        return State(x0, x0.new_ones(len(x0), 1), x0.new_zeros(x0.shape), (x0.new_zeros(x0.shape),))

    def gossip(self, state: State, channel: Channel) -> State:
        (error,) = state.memory
        v = state.x + error
        message = channel.compress(v)
        mixed, w = channel.mix(message.values, state.w, said=(message, state.w))
        gamma = consensus_step(self.gamma, self.reach, message)
        return state._replace(
            x=gossip_step(state.x, gamma, mixed, message.values),
            w=gossip_step(state.w, gamma, w, state.w),
            memory=(v - message.values,),
        )
