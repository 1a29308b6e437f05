"""The learning phases of all devices, each with its own mini-batches: those of the run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from p2pl.local_data import LocalData
from p2pl.scenario import Scenario
from theory.alike import Alike, groups
from theory.expansion import Expansion
from theory.local import SLOTS, Local, U, X


class Devices:
    """names: of the slots that are carried from phase to phase. kept: (N C,) coefficients of velocities, each made of
    its device's own samples alone; None where they are slots like others.
    """

    def __init__(
        self, scenario: Scenario, expansion: Expansion, names: Sequence[str], continuous: bool, kept: Tensor | None
    ) -> None:
        samples, training = expansion.samples, scenario.experiment.training
        residual = samples.targets.reshape(-1) - expansion.train_outputs
        self.there = [SLOTS.index(name) for name in names]
        self.held, self.kept = samples.held, None if kept is None else kept.clone()
        self.gaining = 2 if "velocity" in names and kept is None else 1
        inputs, targets = torch.empty(0), torch.empty(0)  # who meets which samples does not depend on what they are
        self.data = LocalData(inputs, targets, scenario.shards, training, scenario.experiment.seed)
        self.place = [np.empty(len(scenario.data.x_train), dtype=np.int64) for _ in scenario.shards]
        for place, shard in zip(self.place, scenario.shards, strict=True):
            place[shard] = np.arange(len(shard))
        self.steps = {k: len(self.data.cuts(k)) - 1 for k in range(len(self.held)) if continuous or self._whole(k)}
        alike = groups({k: (steps, len(scenario.shards[k])) for k, steps in self.steps.items()})
        self.alike = [Alike(training, expansion, some, residual, self.there, continuous, kept) for some in alike]
        rest = [k for k in range(len(self.held)) if k not in self.steps]
        self.local = {k: Local(training, expansion, k, residual[self.held[k]], self.there) for k in rest}

    def _whole(self, device: int) -> bool:
        """Whether it takes several steps, each with all of its samples."""
        return self.data.size(device) == len(self.data.shards[device]) and len(self.data.cuts(device)) > 2

    def velocity(self) -> Tensor | None:
        """(N C,) `kept`, as it is now."""
        if self.kept is None:
            return None
        now = torch.cat([self.kept, self.kept.new_zeros(1)])[None]
        for group in self.alike:
            if (found := group.velocity()) is not None:
                group.give(found, now, range(len(group.devices)))
        return now[0, :-1]

    def learn(self, values: Tensor, round: int, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Maps between slots (K, S, S), and gains (G, N C) of x, and of velocities if they are slots, of those chosen.

        values: of each slot (S, N C), each device's at its own samples. Who is not chosen stays as it is.
        """
        maps = torch.eye(len(values), dtype=torch.float64).repeat(len(self.held), 1, 1)
        gains = torch.zeros(self.gaining, values.shape[1] + 1, dtype=torch.float64)
        learning = set(chosen.tolist())
        for group in self.alike:
            some = [number for number, device in enumerate(group.devices) if device in learning]
            if some:
                devices = [group.devices[number] for number in some]
                maps[devices], found = group.learn(group.taken(values), self.steps[devices[0]], some)
                group.give(found[:, : self.gaining], gains, some)
        gains = gains[:, :-1]
        for device in learning & self.local.keys():
            own = self.held[device]
            maps[device], gains[:, own] = self._stepwise(device, values[:, own], round)
        return maps, gains

    def _stepwise(self, device: int, values: Tensor, round: int) -> tuple[Tensor, Tensor]:
        """Of one device: the slots' map, and gains (G, n C)."""
        local, own = self.local[device], self.held[device]
        batches = [self.place[device][batch] for batch in self.data.batches(device, round)]
        if self.kept is None:
            change, gains = local.learn(values, batches)
            return change, gains[: self.gaining]
        u, speed = self.there.index(U), self.kept[own].clone()
        change, gains = local.learn(torch.cat([values[:u], (local.kernel @ speed)[None], values[u:]]), batches)
        self.kept[own] = gains[1] + change[u, u] * speed
        slots = [place for place in range(len(change)) if place != u]
        return change[slots][:, slots], (gains[0] + change[X, u] * speed)[None]
