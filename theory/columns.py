"""Linear functions of the K devices' parameters, and what becomes of them when devices learn and cooperate.

A column is any fixed vector times theta_k - theta_ref: a coefficient, the value at a sample and output. All columns
change alike: by what happens between slots and between devices; only the data's part is each column's own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from p2pl.transmission import Exchange, Weights


class Columns:
    """slots: (K, D) each, by name (see `theory.local.SLOTS`; `before` too, for algorithms that remember).

    under_way: the slots of messages that have been sent and not yet arrived, the oldest first.
    """

    def __init__(self, slots: dict[str, Tensor], under_way: Iterable[dict[str, Tensor]] = ()) -> None:
        self.slots, self.under_way = slots, deque(under_way)

    def learn(self, maps: Tensor, names: Sequence[str], data: dict[str, Tensor]) -> None:
        """slots <- maps slots + data. maps: (K, S, S) over `names`; data: (K, D) for some of them."""
        mapped = torch.einsum("kst,ktd->skd", maps, torch.stack([self.slots[name] for name in names], dim=1))
        self.slots |= dict(zip(names, mapped.unbind(), strict=True))
        for name, part in data.items():
            self.slots[name] = self.slots[name] + part

    def send(self, exchange: Exchange, names: Sequence[str]) -> dict[str, Tensor]:
        """W_t of some slots, carried by one message; and the slots that what arrived was taken from, for `heard`."""
        now = {name: self.slots[name] for name in names}
        then = now
        if exchange.delay:
            self.under_way.append(now)
            then = self.under_way.popleft() if len(self.under_way) > exchange.delay else now
        self.slots |= {name: averaged(exchange.weights, now[name], then[name]) for name in names}
        return then


def averaged(weights: Weights, now: Tensor, then: Tensor) -> Tensor:
    """own * now + links * then, (K, D)."""
    links = np.zeros((len(now), len(now)))
    links[weights.receivers, weights.senders] = weights.link
    if then is now:
        np.fill_diagonal(links, weights.own)
        return torch.from_numpy(links).to(now.dtype) @ now
    own = torch.from_numpy(weights.own).to(now.dtype)[:, None]
    return own * now + torch.from_numpy(links).to(now.dtype) @ then
