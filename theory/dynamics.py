"""Every device's linearized trajectory, round by round, in coefficients of the samples: never in parameters.

    learn       c_k <- c_k + S_k^T Gamma_k S_k (R_0 - Theta c_k)      Gamma_k: `theory.local`
    cooperate   c_k <- sum_j W_t[k, j] c_j                            in which order: `theory.orders`

Devices hold different rows, so all that is learned in a round is one vector of N C numbers, and what it does anywhere
is one product with the kernel: 2 (N C)^2 operations for all devices. Test outputs follow, for many rounds at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from p2pl.experiment import Experiment
from p2pl.registry import SpecError
from p2pl.scenario import Scenario
from p2pl.transmission import Exchange
from theory.columns import Columns
from theory.exchanges import Exchanges
from theory.expansion import Expansion, Samples, start_of
from theory.kernel import MEMORY
from theory.local import SLOTS, Devices
from theory.orders import order_of

BLOCK = 32  # rounds whose test outputs are computed together


class Change(NamedTuple):
    """One phase of one round, as any column needs it.

    maps: (K, S, S) between slots, gains: (G, N C) of the first G of them, by learning. exchanges, chosen: of the round.
    """

    phase: str
    maps: Tensor
    gains: Tensor
    exchanges: list[Exchange]
    chosen: np.ndarray


class Seen(NamedTuple):
    """The training side after a phase. coefficients, values: (K, N C + M), of x; values: by all rows of [J; E]."""

    round: int
    phase: str
    coefficients: Tensor
    values: Tensor
    messages: int
    bytes_sent: int


@dataclass(frozen=True)
class Moment:
    """The prediction after one phase, as a Snapshot is the run's.

    train: (K, N, C) outputs at all training samples, in the order of `Samples`. test: (K, T, C). coefficients:
    (K, N C + M) of theta_k - theta_ref, see `Expansion.displacement`. disagreement: sqrt(mean_k ||x_k - average||^2).
    """

    round: int
    phase: str
    train: Tensor
    test: Tensor
    coefficients: Tensor
    disagreement: float
    messages: int
    bytes_sent: int


class Dynamics:
    """The recursion of one experiment. continuous: local steps as gradient flow over the same time.

    memory: bytes that the kernels may take. Raises SpecError for a spec that cannot be treated, saying which part.
    """

    def __init__(self, scenario: Scenario, memory: int = MEMORY, continuous: bool = False) -> None:
        self.experiment, training = scenario.experiment, scenario.experiment.training
        refuse_loss(self.experiment)
        self.order = order_of(self.experiment, [len(shard) for shard in scenario.shards])
        self.samples = Samples.of(scenario)
        self.exchanges = Exchanges(scenario, self.order)
        reference, anchors, self.shares = start_of(self.exchanges.starts, training.weight_decay)
        self.expansion = Expansion.about(scenario, self.samples, reference, anchors, memory)
        self.rows = len(self.samples.train) * self.samples.outputs
        kept = training.momentum and training.velocity == "kept"
        present = {"x": True, "velocity": kept, "drift": "drift" in self.order.slots, "origin": training.weight_decay}
        self.slots = [name for name in SLOTS if present[name]]
        self.gaining = self.slots[: 2 if kept else 1]  # those that the data change
        residual = self.samples.targets.reshape(-1) - self.expansion.train_outputs
        kernel = self.expansion.gram[: self.rows, : self.rows]
        self.devices = Devices(scenario, kernel, residual, self.samples.held, continuous)

    def moments(self) -> Iterator[Moment]:
        """The prediction at the start and after each phase of each round that is evaluated, as long as it is finite."""
        start = self._start()
        train = Columns({name: torch.cat([c, c @ self.expansion.gram], dim=1) for name, c in start.items()})
        test = Columns({name: c @ self.expansion.cross for name, c in start.items()})
        yield self._moment(self._seen(train, 0, "start"), test)
        for begin in range(1, self.experiment.rounds + 1, BLOCK):
            numbers = range(begin, min(begin + BLOCK, self.experiment.rounds + 1))
            block = [one for number in numbers for one in self._round(train, number)]
            learned = self._at_test([change for change, _ in block if change.phase == "learn"])
            for change, seen in block:
                self._apply(test, change, next(learned) if change.phase == "learn" else {})
                if seen is not None:
                    yield self._moment(seen, test)
                    if not bool(torch.isfinite(seen.values.sum())):
                        return

    def facts(self) -> dict[str, Any]:
        """What `theory.limits` judges by."""
        starts, reference = self.exchanges.starts.double(), self.expansion.linear.reference
        apart = (starts - reference).square().sum(dim=1).mean().sqrt() / reference.norm()
        return {
            "spread": float(apart),
            "rows": self.rows,
            "parameters": starts.shape[1],
            "growth_onset_lr": None,
        }

    def _start(self) -> dict[str, Tensor]:
        """(K, N C + M) coefficients of each slot before the first round."""
        devices, extra = self.shares.shape
        start = {name: torch.zeros(devices, self.rows + extra, dtype=torch.float64) for name in self.slots}
        start["x"][:, self.rows :] = self.shares
        if "origin" in start:
            start["origin"][:, self.rows] = 1.0
        return start

    def _round(self, train: Columns, number: int) -> Iterator[tuple[Change, Seen | None]]:
        """The two phases of a round, done to the training columns."""
        chosen = self.exchanges.chosen(number)
        due = number % self.experiment.evaluation.every == 0 or number == self.experiment.rounds
        for phase in self.order.phases:
            if phase == "learn":
                change = Change(phase, *self._learn(train, number, chosen), [], chosen)
                self._apply(train, change, self._at_train(change.gains))
            else:
                exchanges = self.exchanges.of_round(number, chosen)
                change = Change(phase, torch.empty(0), torch.empty(0), exchanges, chosen)
                self._apply(train, change, {})
            yield change, self._seen(train, number, phase) if due else None

    def _learn(self, train: Columns, number: int, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """See `Devices.learn`; of the slots that are there."""
        width = self.rows + self.shares.shape[1]
        values = torch.zeros(len(SLOTS), len(self.shares), self.rows, dtype=torch.float64)
        there = [SLOTS.index(name) for name in self.slots]
        for index in there:
            values[index] = train.slots[SLOTS[index]][:, width : width + self.rows]
        maps, gains = self.devices.learn(values, number, chosen)
        return maps[:, there][:, :, there], gains[: len(self.gaining)]

    def _apply(self, columns: Columns, change: Change, data: dict[str, Tensor]) -> None:
        if change.phase == "learn":
            self.order.before(columns)
            columns.learn(change.maps, self.slots, data)
        else:
            self.order.cooperate(columns, change.exchanges, change.chosen)

    def _at_train(self, gains: Tensor) -> dict[str, Tensor]:
        """What gains (G, N C) add to the training columns: coefficients at their own rows, values everywhere."""
        width = len(self.expansion.gram)
        added = torch.zeros(len(gains), len(self.shares), 2 * width, dtype=torch.float64)
        for k, own in enumerate(self.samples.held):
            added[:, k, own] = gains[:, own]
            added[:, k, width:] = gains[:, own] @ self.expansion.gram[own]
        return dict(zip(self.gaining, added, strict=True))

    def _at_test(self, changes: list[Change]) -> Iterator[dict[str, Tensor]]:
        """What the gains of many phases add to the test columns, phase by phase: one product for each device."""
        if not changes:
            return
        gains = torch.stack([change.gains for change in changes])
        added = torch.stack([gains[..., own] @ self.expansion.cross[own] for own in self.samples.held], dim=2)
        yield from (dict(zip(self.gaining, part, strict=True)) for part in added)

    def _seen(self, train: Columns, number: int, phase: str) -> Seen:
        coefficients, values = train.slots["x"].chunk(2, dim=1)
        return Seen(number, phase, coefficients, values, self.exchanges.messages, self.exchanges.bytes_sent)

    def _moment(self, seen: Seen, test: Columns) -> Moment:
        devices, outputs = len(seen.values), self.samples.outputs
        apart = [part - part.mean(dim=0) for part in (seen.coefficients, seen.values)]
        train = self.expansion.train_outputs + seen.values[:, : self.rows]
        return Moment(
            round=seen.round,
            phase=seen.phase,
            train=train.view(devices, -1, outputs),
            test=(self.expansion.test_outputs + test.slots["x"]).view(devices, -1, outputs),
            coefficients=seen.coefficients,
            disagreement=float((apart[0] * apart[1]).sum(dim=1).mean().clamp(min=0).sqrt()),
            messages=seen.messages,
            bytes_sent=seen.bytes_sent,
        )


def refuse_loss(experiment: Experiment) -> None:
    """Raises SpecError for a loss whose gradient is not linear in the outputs."""
    if experiment.loss != "mse":
        raise SpecError(
            f"loss: the theory predicts the squared error, not {experiment.loss}: set loss: mse (class numbers become"
            " one-hot targets)"
        )
