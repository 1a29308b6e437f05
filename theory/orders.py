"""The algorithms as the theory reads them: who learns, what is sent, and what becomes of any column of the devices.

    learn, then cooperate    c <- W T(c)               P2PL, DSGD (adapt then combine), FedAvg with W of equal rows
    cooperate, then learn    c <- T(W c)               DSGD (combine then adapt)
    DGD                      c <- W c + (T(c) - c)

Written from the papers' equations, like `p2pl.algorithms`, and apart from it: the two check one another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import torch

from p2pl.experiment import Experiment
from p2pl.registry import SpecError, did_you_mean
from p2pl.transmission import Exchange
from theory.columns import Columns


class Order(Protocol):
    """phases: their order in a round. slots: beside x and the velocity. exchanges: mixing steps a round.

    sent: names of the slots that a message carries.
    """

    phases: tuple[str, str]
    slots: tuple[str, ...]
    sent: tuple[str, ...]
    exchanges: int

    def before(self, columns: Columns) -> None:
        """Called before devices learn."""
        ...

    def cooperate(self, columns: Columns, exchanges: Sequence[Exchange], chosen: np.ndarray) -> None:
        """chosen: numbers of the devices that have learned in this round."""
        ...


class Gossip:
    """P2PL and both forms of DSGD: `steps` averagings, which may carry velocities, and affinity eta_b, eta_d."""

    def __init__(
        self,
        consensus_steps: int = 1,
        mix_velocity: bool = False,
        eta_d: float = 0.0,
        eta_b: float = 0.0,
        order: str = "atc",
    ) -> None:
        self.phases = ("learn", "cooperate") if order == "atc" else ("cooperate", "learn")
        self.exchanges, self.eta_d, self.eta_b = consensus_steps, eta_d, eta_b
        self.sent = ("x", "velocity") if mix_velocity else ("x",)
        self.slots = ("drift",) if eta_d or eta_b else ()

    def before(self, columns: Columns) -> None:
        pass

    def cooperate(self, columns: Columns, exchanges: Sequence[Exchange], chosen: np.ndarray) -> None:
        names = [name for name in self.sent if name in columns.slots]
        for exchange in exchanges:
            then = columns.send(exchange, names)
        if self.slots:
            x = columns.slots["x"]
            drift = columns.averaged(exchanges[-1].weights.others(), x, then["x"]) - x
            columns.slots |= {"x": x + self.eta_b * drift, "drift": self.eta_d * drift}


class Remembering:
    """DGD: what was before learning is averaged, what was learned is added."""

    phases: ClassVar = ("learn", "cooperate")
    slots: ClassVar = ("before",)
    sent: ClassVar = ("before",)
    exchanges: ClassVar = 1

    def before(self, columns: Columns) -> None:
        columns.slots["before"] = columns.slots["x"]

    def cooperate(self, columns: Columns, exchanges: Sequence[Exchange], chosen: np.ndarray) -> None:
        before = columns.slots["before"]
        columns.send(exchanges[0], ["before"])
        columns.slots["x"] = columns.slots["before"] + columns.slots["x"] - before


class Server:
    """FedAvg: everybody holds the mean of those chosen, by their numbers of samples."""

    phases: ClassVar = ("learn", "cooperate")
    slots: ClassVar = ()
    sent: ClassVar = ("x",)
    exchanges: ClassVar = 0

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = torch.tensor(sizes, dtype=torch.float64)

    def before(self, columns: Columns) -> None:
        pass

    def cooperate(self, columns: Columns, exchanges: Sequence[Exchange], chosen: np.ndarray) -> None:
        x, rows = columns.slots["x"], torch.from_numpy(chosen)
        mean = self.sizes[rows] / self.sizes[rows].sum() @ x[rows]
        columns.slots["x"] = mean.expand_as(x)


class Silent:
    """Isolated devices, and all data on one."""

    phases: ClassVar = ("learn", "cooperate")
    slots: ClassVar = ()
    sent: ClassVar = ()
    exchanges: ClassVar = 0

    def before(self, columns: Columns) -> None:
        pass

    def cooperate(self, columns: Columns, exchanges: Sequence[Exchange], chosen: np.ndarray) -> None:
        pass


def order_of(experiment: Experiment, sizes: Sequence[int]) -> Order:
    """Raises SpecError for an algorithm, or a training, that the theory does not know."""
    name, options = experiment.algorithm.name, experiment.algorithm.options
    known: Mapping[str, Any] = {
        "p2pl": lambda: Gossip(**options),
        "dsgd": lambda: Gossip(**options),
        "dgd": Remembering,
        "fedavg": lambda: Server(sizes),
        "isolated": Silent,
        "centralized": Silent,
    }
    if name not in known:
        raise SpecError(f"the theory has no equations of algorithm '{name}'{did_you_mean(name, known)}")
    if experiment.schedule.name != "constant" or experiment.training.warmup:
        raise SpecError("the theory has one learning rate for all rounds: leave schedule and training.warmup out")
    if experiment.training.augment != "none":
        raise SpecError("the theory is of samples that stay as they are: leave training.augment out")
    order: Order = known[name]()
    return order
