"""Every device's linearized trajectory, round by round, in coefficients of the samples: never in parameters.

    learn       c_k <- c_k + S_k^T Gamma_k S_k (R_0 - Theta c_k)      Gamma_k: `theory.local`
    cooperate   c_k <- sum_j W_t[k, j] c_j                            in which order: `theory.orders`

Devices hold different rows, so all that is learned in a round is one vector of N C numbers, and what it does anywhere
is one product with the kernel: 2 (N C)^2 operations for all devices. Test outputs follow, for many rounds at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from p2pl.experiment import Experiment
from p2pl.metrics import rms_distances
from p2pl.registry import SpecError
from p2pl.scenario import Scenario
from p2pl.transmission import Exchange
from theory.columns import Columns
from theory.exchanges import Exchanges
from theory.expansion import Expansion, Samples, start_of
from theory.frame import Frame, Moment, Seen
from theory.kernel import MEMORY
from theory.onset import onset_of
from theory.orders import order_of
from theory.packets import PacketFrame, by_packets

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


class Dynamics:
    """The recursion of one experiment.

    memory: bytes that the kernels may take. continuous: local steps as gradient flow over the same time. cuts: after
    which rounds to move the expansion to the devices' mean, see `theory.frame`. Raises SpecError for a spec that cannot
    be treated, saying which part.
    """

    def __init__(
        self, scenario: Scenario, memory: int = MEMORY, continuous: bool = False, cuts: Sequence[int] = ()
    ) -> None:
        refuse_loss(scenario.experiment)
        self.scenario, self.experiment, self.memory = scenario, scenario.experiment, memory
        self.cuts = sorted({cut for cut in cuts if 0 < cut < self.experiment.rounds})
        self.jumps: dict[int, float] = {}
        self.order = order_of(self.experiment, [len(shard) for shard in scenario.shards])
        self.samples = Samples.of(scenario)
        self.exchanges = Exchanges(scenario, self.order)
        reference, anchors, shares = start_of(self.exchanges.starts, self.experiment.training.weight_decay)
        self.in_parts = by_packets(scenario, self.exchanges.values)
        if self.in_parts:
            anchors, shares = anchors[:0], shares[:, :0]
        self.expansion = Expansion.about(scenario, self.samples, reference, anchors, memory)
        self.frame = self._frame(shares, continuous)

    def _frame(self, shares: Tensor, continuous: bool) -> Frame:
        given = self.scenario, self.samples, self.expansion
        if self.in_parts:
            return PacketFrame(*given, self._parameters(), continuous, self.memory)
        slots, kept = self._slots(shares), None
        if "velocity" in slots and "velocity" not in self.order.sent and not self.experiment.training.weight_decay:
            kept = slots.pop("velocity")[0, : self.samples.held[-1].stop]
        return Frame(*given, slots, continuous, kept=kept)

    def _slots(self, shares: Tensor) -> dict[str, Tensor]:
        """(K, N C + M) coefficients of each slot before the first round; shares: (K, M), of the anchors."""
        rows = len(self.samples.train) * self.samples.outputs
        blank = torch.zeros(len(shares), rows + shares.shape[1], dtype=torch.float64)
        slots = {name: blank.clone() for name in self._present()}
        slots["x"][:, rows:] = shares
        if "origin" in slots:
            slots["origin"][:, rows] = 1.0
        return slots

    def _parameters(self) -> dict[str, Tensor]:
        """(K, P) the same by parameters."""
        reference, starts = self.expansion.linear.reference, self.exchanges.starts.double()
        known = {"x": starts - reference, "origin": reference.expand_as(starts)}
        return {name: known.get(name, torch.zeros_like(starts)) for name in self._present()}

    def _present(self) -> list[str]:
        """The slots that there are, see `theory.local.SLOTS`."""
        training = self.experiment.training
        kept = training.momentum and training.velocity == "kept"
        there = {"x": True, "velocity": kept, "drift": "drift" in self.order.slots, "origin": training.weight_decay}
        return [name for name, present in there.items() if present]

    def moments(self) -> Iterator[Moment]:
        """The prediction at the start and after each phase of each round that is evaluated, as long as it is finite."""
        yield self.frame.moment(0, "start", self.frame.seen(), self.exchanges.messages, self.exchanges.bytes_sent)
        for first, last in pairwise([0, *self.cuts, self.experiment.rounds]):
            if first:
                self._cut(first)
            for begin in range(first + 1, last + 1, BLOCK):
                for moment in self._block(range(begin, min(begin + BLOCK, last + 1))):
                    yield moment
                    if not bool(torch.isfinite(moment.train.sum())):
                        return

    def _cut(self, number: int) -> None:
        """Move the expansion. Notes the jump of the mean test outputs, relative to how far they have moved so far."""
        old = self.frame
        self.frame = old.cut(self.memory)
        before, after = (
            frame.expansion.test_outputs + frame.at_test_now(frame.seen()).mean(dim=0) for frame in (old, self.frame)
        )
        self.jumps[number] = float((after - before).norm() / (before - self.expansion.test_outputs).norm())

    def _block(self, numbers: range) -> Iterator[Moment]:
        """Some rounds: first the training columns go through all of them, then the test columns."""
        done = [(number, *one) for number in numbers for one in self._round(number)]
        learned = self.frame.at_test([change.gains for _, change, *_ in done if change.phase == "learn"])
        for number, change, seen, messages, bytes_sent in done:
            self._apply(self.frame.test, change, next(learned) if change.phase == "learn" else {})
            ends = change.phase == self.order.phases[-1]
            if self.experiment.evaluation.due(number, self.experiment.rounds, ends):
                yield self.frame.moment(number, change.phase, seen, messages, bytes_sent)

    def _round(self, number: int) -> Iterator[tuple[Change, Seen, int, int]]:
        """The two phases of a round, done to the training columns; messages and bytes so far."""
        chosen, frame = self.exchanges.chosen(number), self.frame
        for phase in self.order.phases:
            if phase == "learn":
                change = Change(phase, *frame.learn(number, chosen), [], chosen)
                self._apply(frame.train, change, frame.at_train(change.gains))
            else:
                exchanges = self.exchanges.of_round(number, chosen)
                change = Change(phase, torch.empty(0), torch.empty(0), exchanges, chosen)
                self._apply(frame.train, change, {})
            yield change, frame.seen(), self.exchanges.messages, self.exchanges.bytes_sent

    def _apply(self, columns: Columns, change: Change, data: dict[str, Tensor]) -> None:
        if change.phase == "learn":
            self.order.before(columns)
            columns.learn(change.maps, self.frame.names, data)
        else:
            self.order.cooperate(columns, change.exchanges, change.chosen)

    def facts(self) -> dict[str, Any]:
        """What `theory.limits` judges by."""
        starts, reference = self.exchanges.starts, self.expansion.linear.reference
        (apart,) = rms_distances(starts[None], reference)
        return {
            "spread": apart / float(reference.norm()),
            "rows": len(self.samples.train) * self.samples.outputs,
            "parameters": starts.shape[1],
            "growth_onset_lr": onset_of(self.scenario, self.expansion),
            "jumps": self.jumps,
        }


def refuse_loss(experiment: Experiment) -> None:
    """Raises SpecError for a loss whose gradient is not linear in the outputs."""
    if experiment.loss != "mse":
        raise SpecError(
            f"loss: the theory predicts the squared error, not {experiment.loss}: set loss: mse (class numbers become"
            " one-hot targets)"
        )
