"""The same draws as the run's: first parameters, who learns, which messages arrive; and what they cost."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from p2pl.channel import packets_of
from p2pl.scenario import Scenario
from p2pl.seeds import stream
from p2pl.transmission import Exchange
from theory.orders import Order


class Exchanges:
    """messages, bytes_sent: totals so far, the initialization's included. starts: (K, P) first parameters.

    draws: the devices' own, where they are at hand.
    """

    def __init__(self, scenario: Scenario, order: Order, draws: Tensor | None = None) -> None:
        self.experiment, self.order = scenario.experiment, order
        self.channel = scenario.channel()
        self.starts: Tensor = scenario.start(self.channel, draws=draws)
        if self.experiment.algorithm.name == "fedavg":  # the server starts from device 0's draw
            self.starts = self.starts[:1].expand_as(self.starts)
        self.messages, self.bytes_sent = self.channel.messages, self.channel.bytes_sent

    @property
    def values(self) -> int:
        """Numbers that a message carries."""
        return self.starts.shape[1] * len(self.order.sent)

    def chosen(self, number: int) -> np.ndarray:
        """The devices that learn in a round: all, or the share that FedAvg's server draws."""
        devices, share = len(self.starts), self.experiment.algorithm.options.get("participation", 1.0)
        if self.experiment.algorithm.name != "fedavg":
            return np.arange(devices)
        draws = stream(self.experiment.seed, "participation", number)
        return np.sort(draws.choice(devices, max(1, round(share * devices)), replace=False))

    def of_round(self, number: int, chosen: np.ndarray) -> list[Exchange]:
        """The mixing steps of a round, drawn and paid for. Rounds are to be asked for in turn."""
        self.channel.begin_round(number)
        values, itemsize = self.values, self.starts.element_size()
        if self.experiment.algorithm.name == "fedavg":  # each of those chosen downloads a model and uploads one
            self._pay(2 * len(chosen), values * itemsize)
        drawn = []
        for _ in range(self.order.exchanges):
            exchange = self.channel.transmission.next(packets_of(values * itemsize))
            self._pay(int(exchange.sent.sum()), values * itemsize)
            drawn.append(exchange)
        return drawn

    def _pay(self, messages: int, size: int) -> None:
        self.messages += messages
        self.bytes_sent += messages * size
