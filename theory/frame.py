"""The devices about one expansion: where they are, in coefficients and in the outputs that follow from them.

A cut moves the expansion to the devices' mean and goes on from there, still from the initialization alone:

    theta_ref <- theta_ref + J^T c_bar + E^T a_bar,   c_bar, a_bar the devices' mean coefficients
    c_k <- c_k - c_bar                                new kernels; what else is carried keeps its coefficients

Exact for a linear model. Elsewhere the outputs jump at a cut by what the linearization had missed: a free indicator of
its error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from p2pl.scenario import Scenario
from theory.columns import Columns
from theory.expansion import Expansion, Samples
from theory.local import SLOTS
from theory.phases import Devices

Slots = dict[str, Tensor]


class Seen(NamedTuple):
    """x after a phase. coefficients, values: (K, N C + M); values: by all rows of [J; E]."""

    coefficients: Tensor
    values: Tensor


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


class Frame:
    """slots: (K, N C + M) coefficients by name, see `theory.local.SLOTS`. gaining: names of those that data change.

    under_way: of messages sent and not yet arrived, their slots' names and coefficients. kept: (N C,) coefficients of
    the devices' velocities, if each is made of the device's own samples alone, and so is no slot: half the work.
    """

    def __init__(
        self,
        scenario: Scenario,
        samples: Samples,
        expansion: Expansion,
        slots: Slots,
        continuous: bool,
        under_way: Sequence[Slots] = (),
        kept: Tensor | None = None,
    ) -> None:
        self._begin(scenario, samples, expansion, list(slots), continuous, kept)

        def columns(look: Callable[[Slots], Slots]) -> Columns:
            return Columns(look(slots), [look(one) for one in under_way])

        self.train = columns(
            lambda some: {name: torch.cat([c, expansion.at_train(c)], dim=1) for name, c in some.items()}
        )
        self.test = columns(lambda some: {name: expansion.at_test(c) for name, c in some.items()})

    def _begin(
        self,
        scenario: Scenario,
        samples: Samples,
        expansion: Expansion,
        slots: Sequence[str],
        continuous: bool,
        kept: Tensor | None = None,
    ) -> None:
        self.scenario, self.samples, self.expansion, self.continuous = scenario, samples, expansion, continuous
        self.names = [name for name in SLOTS if name in slots]
        self.gaining = [name for name in self.names if name in ("x", "velocity")]
        carried = [name for name in SLOTS if name in slots or (name == "velocity" and kept is not None)]
        self.rows = len(samples.train) * samples.outputs
        self.devices = Devices(scenario, expansion, carried, continuous, kept)

    def learn(self, number: int, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """See `Devices.learn`; of the slots that there are."""
        return self.devices.learn(torch.stack([self._own_values(name) for name in self.names]), number, chosen)

    def _own_values(self, name: str) -> Tensor:
        """(N C,) a slot's values, each device's at its own samples."""
        values = self.train.slots[name][:, len(self.expansion.gram) :]
        return torch.cat([values[k, own] for k, own in enumerate(self.samples.held)])

    def at_train(self, gains: Tensor) -> Slots:
        """What gains (G, N C) add to the training columns: coefficients at their own rows, values everywhere."""
        width, devices = len(self.expansion.gram), len(self.samples.held)
        added = torch.zeros(len(gains), devices, 2 * width, dtype=torch.float64)
        added[:, :, width:] = self.expansion.learned(gains)
        for k, own in enumerate(self.samples.held):
            added[:, k, own] = gains[:, own]
        return dict(zip(self.gaining, added, strict=True))

    def at_test(self, gains: Sequence[Tensor]) -> Iterator[Slots]:
        """What the gains of many phases add to the test columns, phase by phase: one product for each device."""
        together = torch.stack([*gains])
        added = torch.stack([self.expansion.at_test(together[..., own], own) for own in self.samples.held], dim=2)
        yield from (dict(zip(self.gaining, part, strict=True)) for part in added)

    def seen(self) -> Seen:
        return Seen(*self.train.slots["x"].chunk(2, dim=1))

    def moment(self, round: int, phase: str, seen: Seen, messages: int, bytes_sent: int) -> Moment:
        """With the test columns as they are now."""
        devices, outputs = len(seen.values), self.samples.outputs
        train = self.expansion.train_outputs + seen.values[:, : self.rows]
        return Moment(
            round=round,
            phase=phase,
            train=train.view(devices, -1, outputs),
            test=(self.expansion.test_outputs + self.at_test_now(seen)).view(devices, -1, outputs),
            coefficients=seen.coefficients,
            disagreement=self.disagreement(seen),
            messages=messages,
            bytes_sent=bytes_sent,
        )

    def at_test_now(self, seen: Seen) -> Tensor:
        """(K, T C) what the devices' outputs have moved by, of the columns as they are now."""
        return self.test.slots["x"]

    def disagreement(self, seen: Seen) -> float:
        apart = [part - part.mean(dim=0) for part in seen]
        return float((apart[0] * apart[1]).sum(dim=1).mean().clamp(min=0).sqrt())

    def parameters(self, coefficients: Tensor) -> Tensor:
        """(K, P) of the devices, of a moment's coefficients since the last cut."""
        return self.expansion.linear.reference + self.expansion.displacement(coefficients)

    def cut(self, memory: int) -> Frame:
        """The same devices about their mean."""
        old, width = self.expansion, len(self.expansion.gram)
        mean = self.train.slots["x"][:, :width].mean(dim=0)
        reference = old.linear.reference + old.displacement(mean[None])[0]
        anchors = old.anchors.clone()
        if "origin" in self.names:
            anchors[0] = reference

        def turned(slots: Slots) -> Slots:
            return {name: self._turned(name, columns[:, :width], mean) for name, columns in slots.items()}

        slots, under_way = turned(self.train.slots), [turned(one) for one in self.train.under_way]
        about = Expansion.about(self.scenario, self.samples, reference, anchors, memory)
        return Frame(self.scenario, self.samples, about, slots, self.continuous, under_way, self.devices.velocity())

    def _turned(self, name: str, coefficients: Tensor, mean: Tensor) -> Tensor:
        """A slot's coefficients about the new reference: with the old anchor theta_ref written by the new one."""
        if name == "origin":
            return coefficients  # theta_ref itself, old or new: the first anchor
        turned = coefficients - mean if name in ("x", "before") else coefficients.clone()
        if "origin" in self.names:  # theta_ref, new = (1 + a_bar) theta_ref, old + the rest of the mean
            share = turned[:, self.rows, None] / (1 + mean[self.rows])
            turned -= share * mean
            turned[:, self.rows] = share[:, 0]
        return turned
