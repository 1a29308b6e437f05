"""D2 and exact diffusion: each device takes out what makes its data differ from the others'.

    D2                X(t+1) = W (2 X(t) - X(t-1) - lr (G(t) - G(t-1)))
    exact diffusion   the same with (W + I) / 2 in place of W:
                      Psi(t+1) = X(t) - lr G(t),   Phi(t+1) = Psi(t+1) + X(t) - Psi(t),   X(t+1) = (W + I) / 2 Phi(t+1)

Tang, Lian, Yan, Zhang, Liu, "D2: Decentralized Training over Decentralized Data", ICML 2018; Yuan, Ying, Zhao, Sayed,
"Exact diffusion for distributed optimization and learning", IEEE Trans. Signal Processing 67, 2019 (arXiv 1702.05122).
Here by a correction C, which starts at 0, sums to 0 over the devices, and comes to be lr times a device's own gradient
at the common optimum; M is W or (W + I) / 2:

    learn       Z <- X - lr G + C
    cooperate   C <- C + M Z - Z,   X <- M Z

With several local steps C is shared among them. It is a displacement: after a change of the learning rate it takes
some rounds to follow. M must be symmetric with eigenvalues above -1/3: (W + I) / 2 has no negative one, whatever W is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor

from p2pl.algorithm import Work
from p2pl.channel import Channel
from p2pl.registry import algorithm


class State(NamedTuple):
    """x, velocity: (K, P). correction: (K, P), C above."""

    x: Tensor
    velocity: Tensor
    correction: Tensor


class Corrected:
    """Both; part: of W x - x, which a device moves by."""

    phases: ClassVar = ("learn", "cooperate")
    part: ClassVar[float]

    def start(self, x0: Tensor, work: Work) -> State:
        return State(x0, x0.new_zeros(x0.shape), x0.new_zeros(x0.shape))

    def learn(self, state: State, work: Work) -> State:
        z, velocity = work.train(state.x, state.velocity, drift=state.correction)
        return State(z, velocity, state.correction)

    def cooperate(self, state: State, channel: Channel) -> State:
        change = self.part * channel.difference(state.x)
        return State(state.x + change, state.velocity, state.correction + change)

    def models(self, state: State) -> Tensor:
        return state.x


@algorithm(name="d2", needs=("undirected", "static", "symmetric", "lambda_min above -1/3"), tensors=3)
@dataclass(frozen=True)
class D2(Corrected):
    """Gossip SGD with bias correction: exact for heterogeneous data, at no more bytes than gossip SGD."""

    part: ClassVar = 1.0


@algorithm(name="exact_diffusion", needs=("undirected", "static", "symmetric"), tensors=3)
@dataclass(frozen=True)
class ExactDiffusion(Corrected):
    """D2 with (W + I) / 2, which any symmetric W will do for: exact, at no more bytes than gossip SGD."""

    part: ClassVar = 0.5
