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
from torch.nn import functional as F

from p2pl.transmission import Exchange, Weights


class Columns:
    """slots: (K, D) each, by name (see `theory.local.SLOTS`; `before` too, for algorithms that remember).

    under_way: the slots of messages that have been sent and not yet arrived, the oldest first. packet: how many columns
    travel together, where columns are parameters and packets may be lost (`theory.packets`).
    """

    def __init__(
        self, slots: dict[str, Tensor], under_way: Iterable[dict[str, Tensor]] = (), packet: int | None = None
    ) -> None:
        self.slots, self.under_way, self.packet = slots, deque(under_way), packet

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
        if self.packet and names:  # one message: packets go on from slot to slot
            whole, late = (torch.cat([slots[name] for name in names], dim=1) for slots in (now, then))
            sizes = [now[name].shape[1] for name in names]
            mixed = torch.split(self.averaged(exchange.weights, whole, late), sizes, dim=1)
            self.slots |= dict(zip(names, mixed, strict=True))
        else:
            self.slots |= {name: self.averaged(exchange.weights, now[name], then[name]) for name in names}
        return then

    def averaged(self, weights: Weights, now: Tensor, then: Tensor) -> Tensor:
        """own * now + links * then, (K, D)."""
        if weights.link.ndim == 1:
            return averaged(weights, now, then)
        if self.packet is None:
            raise RuntimeError("packets have weights of their own, and these columns are no parameters")
        return averaged_by_packets(weights, now, then, self.packet)


def averaged_by_packets(weights: Weights, now: Tensor, then: Tensor, width: int) -> Tensor:
    """The same with weights that have a packet axis, for columns that travel `width` to a packet."""
    devices, size = now.shape
    packets = -(-size // width)
    links = np.zeros((packets, devices, devices))
    links[:, weights.receivers, weights.senders] = weights.link.T[:packets]

    def split(x: Tensor) -> Tensor:
        return F.pad(x, (0, packets * width - size)).view(devices, packets, width).transpose(0, 1)

    own = torch.from_numpy(weights.own.T[:packets, :, None]).to(now.dtype)
    mixed = own * split(now) + torch.from_numpy(links).to(now.dtype) @ split(then)
    return mixed.transpose(0, 1).reshape(devices, -1)[:, :size]


def averaged(weights: Weights, now: Tensor, then: Tensor) -> Tensor:
    """own * now + links * then, (K, D), with one weight for all columns of a message."""
    links = np.zeros((len(now), len(now)))
    links[weights.receivers, weights.senders] = weights.link
    if then is now:
        np.fill_diagonal(links, weights.own)
        return torch.from_numpy(links).to(now.dtype) @ now
    own = torch.from_numpy(weights.own).to(now.dtype)[:, None]
    return own * now + torch.from_numpy(links).to(now.dtype) @ then
