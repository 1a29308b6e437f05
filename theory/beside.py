"""Settings side by side: the devices of all of them in the same columns, each setting with exchanges of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from p2pl.transmission import Exchange, Weights
from theory.columns import Columns
from theory.orders import Order


class Settings(Columns):
    """slots: (S K, D), the devices of one setting after those of another. late: what is under way in each."""

    def __init__(self, slots: dict[str, Tensor], settings: int) -> None:
        super().__init__(slots)
        self.late: list[deque[dict[str, Tensor]]] = [deque() for _ in range(settings)]

    def each(self, name: str) -> Tensor:
        """(S, K, D) of a slot."""
        slot = self.slots[name]
        return slot.view(len(self.late), -1, slot.shape[1])

    def parts(self) -> list[dict[str, Tensor]]:
        """The slots of each setting, (K, D)."""
        return [{name: self.each(name)[index] for name in self.slots} for index in range(len(self.late))]

    def cooperate(self, order: Order, drawn: Sequence[Sequence[Exchange]]) -> None:
        """One phase of cooperation. drawn: its mixing steps, setting by setting."""
        devices = self.each("x").shape[1]
        if not any(one.delay for steps in drawn for one in steps):
            order.cooperate(self, [joined(each, devices) for each in zip(*drawn, strict=True)], np.arange(devices))
            return
        done = [Columns(slots, late) for slots, late in zip(self.parts(), self.late, strict=True)]
        for columns, steps in zip(done, drawn, strict=True):
            order.cooperate(columns, steps, np.arange(devices))
        self.late = [columns.under_way for columns in done]
        self.slots = {name: torch.cat([columns.slots[name] for columns in done]) for name in done[0].slots}

    def averaged(self, weights: Weights, now: Tensor, then: Tensor) -> Tensor:
        """own * now + links * now, (S K, D), as one product for each setting: nothing is late here."""
        count = len(self.late)
        devices = np.arange(len(now) // count)
        links = np.zeros((count, len(devices), len(devices)))
        links[weights.receivers // len(devices), weights.receivers % len(devices), weights.senders % len(devices)] = (
            weights.link
        )
        links[:, devices, devices] = weights.own.reshape(count, -1)
        return (torch.from_numpy(links).to(now.dtype) @ now.view(count, len(devices), -1)).flatten(0, 1)


def joined(exchanges: Sequence[Exchange], devices: int) -> Exchange:
    """One exchange between the devices of all settings, in which nobody hears those of another. Without delays."""
    each = [one.weights for one in exchanges]
    receivers, senders = (
        np.concatenate([ends + devices * index for index, ends in enumerate(sides)])
        for sides in ([one.receivers for one in each], [one.senders for one in each])
    )
    own, link = (np.concatenate(parts) for parts in ([one.own for one in each], [one.link for one in each]))
    used, sent, heard = (np.concatenate(parts) for parts in zip(*(one[1:4] for one in exchanges), strict=True))
    return Exchange(Weights(receivers, senders, own, link, each[0].stochastic), used, sent, heard, 0)
