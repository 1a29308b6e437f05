"""Neighborhood gradient clustering (NGC) with alpha = 0: each device learns from its own data at each model it hears.

    x_k <- sum_j w_kj x_j - lr v_k,     v_k <- mu v_k + sum_j w_kj grad f_k(x_j),     j in N_k and k itself

Aketi, Kodge, Roy, "Neighborhood Gradient Clustering" (later: Mean), arXiv 2209.14390, with self- and model-variant
gradients alone (alpha = 0): nothing is sent but models, and a device of d neighbours learns d + 1 times. Held against
the authors' code (github.com/aparna-aketi/neighborhood_gradient_clustering): there, too, gradients at the models heard
count as much as the models do, one velocity takes their mean, and the step is from the mixed model; but a device's
gradient at its own model is taken after mixing, not before, and models mix by a consensus step of its own. DSGD,
combine then adapt, takes one gradient, at the mean of these models; where gradients are linear in the model, as in
least squares, the two are one. Several local steps are taken from each model, and their ends averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor

from p2pl.algorithm import Work
from p2pl.channel import Channel
from p2pl.registry import algorithm


class State(NamedTuple):
    """x, velocity: (K, P). heard, weights: (S, K, P) models to learn from, and (S, K) what they count; None after."""

    x: Tensor
    velocity: Tensor
    heard: Tensor | None
    weights: Tensor | None


@algorithm(name="ngc", needs=("row stochastic", "no failures"))
@dataclass(frozen=True)
class NGC:
    """Gossip SGD, combine then adapt, with gradients at each model that a device hears, not at their mean."""

    phases: ClassVar = ("cooperate", "learn")

    def start(self, x0: Tensor, work: Work) -> State:
        return State(x0, x0.new_zeros(x0.shape), None, None)

    def cooperate(self, state: State, channel: Channel) -> State:
        heard, weights = channel.each(state.x)
        return State((weights[:, :, None] * heard).sum(dim=0), state.velocity, heard, weights)

    def learn(self, state: State, work: Work) -> State:
        assert state.heard is not None
        assert state.weights is not None
        x, velocity = state.x.new_zeros(state.x.shape), state.x.new_zeros(state.x.shape)
        for model, weight in zip(state.heard, state.weights[:, :, None], strict=True):
            z, v = work.train(model, state.velocity)
            x, velocity = x + weight * z, velocity + weight * v
        return State(x, velocity, None, None)

    def models(self, state: State) -> Tensor:
        return state.x
