"""FedAvg: a server averages the models of the devices that take part in a round.

    choose      max(1, round(C K)) devices at random
    learn       each starts at the server's model and trains on its own data
    cooperate   w <- sum_k n_k w_k / sum_k n_k over those chosen; everybody holds w

McMahan et al. (2017), "Communication-Efficient Learning of Deep Networks from Decentralized Data", algorithm 1.
A chosen device downloads one model and uploads one. After cooperation every row is the server's model, which is what is
evaluated. McMahan et al. use no momentum; with one, velocities stay on the devices as `training.velocity` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from p2pl.algorithm import Work
from p2pl.channel import Channel
from p2pl.registry import Probability, SpecError, algorithm


class State(NamedTuple):
    """x, velocity: (K, P). chosen: (C K,) numbers of the devices of this round. sizes: (K,) samples a device."""

    x: Tensor
    velocity: Tensor
    chosen: Tensor
    sizes: Tensor


@algorithm(name="fedavg", graph=False)
@dataclass(frozen=True)
class FedAvg:
    """Federated averaging with a server; a share `participation` of the devices takes part in each round."""

    participation: Probability = 1.0

    phases: ClassVar = ("learn", "cooperate")

    def __post_init__(self) -> None:
        if self.participation == 0:
            raise SpecError("algorithm 'fedavg', option 'participation': must be above 0")

    def start(self, x0: Tensor, work: Work) -> State:
        everybody = torch.arange(len(x0), device=x0.device)
        return State(x0[:1].repeat(len(x0), 1), x0.new_zeros(x0.shape), everybody, work.sizes)

    def learn(self, state: State, work: Work) -> State:
        devices = len(state.x)
        count = max(1, round(self.participation * devices))
        chosen = np.sort(work.stream("participation").choice(devices, count, replace=False))
        x, velocity = work.train(state.x, state.velocity, devices=chosen)
        return State(x, velocity, torch.from_numpy(chosen).to(x.device), state.sizes)

    def cooperate(self, state: State, channel: Channel) -> State:
        server = channel.server_mean(state.x, state.sizes, state.chosen)
        return state._replace(x=server.repeat(len(state.x), 1))

    def models(self, state: State) -> Tensor:
        return state.x
