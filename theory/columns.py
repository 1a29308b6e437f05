"""Linear functions of the K devices' parameters, and what becomes of them when devices learn and cooperate.

A column is any fixed vector times theta_k - theta_ref: a coefficient, the value at a sample and output. All columns
change alike: by what happens between slots and between devices; only the data's part is each column's own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from p2pl.transmission import Exchange, Weights


class Columns:
    """slots: (K, D) each, by name (see `theory.local.SLOTS`; `before` too, for algorithms that remember)."""

    def __init__(self, slots: dict[str, Tensor]) -> None:
        self.slots = slots
        self._under_way: deque[tuple[Tensor, ...]] = deque()

    def learn(self, maps: Tensor, names: Sequence[str], data: dict[str, Tensor]) -> None:
        """slots <- maps slots + data. maps: (K, S, S) over `names`; data: (K, D) for some of them."""
        mapped = torch.einsum("kst,ktd->skd", maps, torch.stack([self.slots[name] for name in names], dim=1))
        self.slots |= dict(zip(names, mapped.unbind(), strict=True))
        for name, part in data.items():
            self.slots[name] = self.slots[name] + part

    def send(self, exchange: Exchange, names: Sequence[str]) -> tuple[Tensor, ...]:
        """W_t of some slots, carried by one message; and the tensors that what arrived was taken from, for `heard`."""
        now = tuple(self.slots[name] for name in names)
        then = now
        if exchange.delay:
            self._under_way.append(now)
            then = self._under_way.popleft() if len(self._under_way) > exchange.delay else now
        for name, mine, theirs in zip(names, now, then, strict=True):
            self.slots[name] = averaged(exchange.weights, mine, theirs)
        return then


def averaged(weights: Weights, now: Tensor, then: Tensor) -> Tensor:
    """own * now + links * then, (K, D)."""
    own = torch.from_numpy(weights.own).to(now.dtype)[:, None]
    links = np.zeros((len(own), len(own)))
    links[weights.receivers, weights.senders] = weights.link
    return own * now + torch.from_numpy(links).to(now.dtype) @ then
