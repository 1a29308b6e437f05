"""The only way between devices: no algorithm knows of graphs, failures, delays or bytes.

channel.mix(x)            W_t x, one message of P values over every link that is used
channel.compress(x)       what of x is to be sent, and what it weighs
channel.mix(h, said=(q,)) W_t h, where messages have carried only q, of which everybody has made h
channel.adopt(...)        one round of an election: take over the best of those heard
channel.difference(x)     W_t x - x, for sums over many rounds; the same messages
channel.each(x)           the same messages, not added up: each model that a device hears, and its weight
channel.relay(x, before)  sums relayed over a tree, a message of its own over every link
channel.all_reduce(x)     the exact mean of all, by a ring that all K devices form
channel.server_mean(...)  the star to and from a server that FedAvg assumes
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from p2pl.compression import Compression, Message, bytes_of
from p2pl.links import added, among_equals
from p2pl.memory import copy_of
from p2pl.native.library import Library
from p2pl.products import Product, product
from p2pl.spectrum import flooding_time, period_matrix, stationary
from p2pl.transmission import Exchange, Transmission, Weights

PACKET_BYTES = 1448  # payload of a TCP segment in an Ethernet frame of 1,500 bytes


class Channel:
    """Applies the exchanges of a Transmission to tensors and counts what is sent.

    transmission: None for algorithms that do not speak over links. library: the native one, if it is to multiply.
    messages, bytes_sent: totals since the start, over all devices; lost messages count, for they were sent. left: how
    many rounds there are after the one that is on.
    """

    def __init__(
        self,
        transmission: Transmission | None,
        library: Library | None = None,
        compression: Compression | None = None,
    ) -> None:
        self._transmission, self._library, self._compression = transmission, library, compression
        self.left = self._compressed = 0
        self.messages = 0
        self.bytes_sent = 0
        self._past: deque[tuple[Tensor, ...]] = deque()
        self._last: tuple[Weights, tuple[Tensor, ...]] | None = None
        self._held: tuple[Weights, torch.dtype, Product] | None = None

    @property
    def transmission(self) -> Transmission:
        if self._transmission is None:
            raise RuntimeError("an algorithm registered with graph=False has spoken over links")
        return self._transmission

    @property
    def round(self) -> int:
        """The number of the round that is on; 0 during the initialization."""
        return self.transmission.moment.round

    def begin_round(self, number: int) -> None:
        """Tells failure models of the round; the first one ends the initialization."""
        self._last = None  # of what was heard in the round before, nobody asks any more
        self._compressed = 0
        if self._transmission is not None:
            if self._transmission.moment.round == 0:
                self._past.clear()
            self._transmission.begin(number)

    def memory(self) -> dict[str, Any]:
        """All that the next exchanges depend on, and the totals, for a checkpoint."""
        steps = [] if self._transmission is None else self._transmission.past
        under_way = [list(tensors) for tensors in self._past]
        return {"messages": self.messages, "bytes_sent": self.bytes_sent, "steps": steps, "under_way": under_way}

    def recall(self, memory: dict[str, Any]) -> None:
        """Bring a new channel to where `memory` was taken."""
        self.messages, self.bytes_sent = memory["messages"], memory["bytes_sent"]
        self._past = deque(tuple(tensors) for tensors in memory["under_way"])
        if self._transmission is not None:
            self._transmission.replay(memory["steps"])

    @cached_property
    def diameter(self) -> int:
        """How many loss-free mixing steps a flood takes to reach everybody: the diameter, where the graph is static."""
        return flooding_time(self.transmission.network)

    @cached_property
    def stationary(self) -> np.ndarray:
        """(K,) limit weights of repeated loss-free mixing (of a period, if the graph varies). SpecError if none."""
        sender = self.transmission
        return stationary(period_matrix(sender.network, sender.rule, sender.sizes))

    @property
    def periods(self) -> int:
        """How many graphs the network has, one after another. RuntimeError if it is drawn anew at each step."""
        if self.transmission.network.period is None:
            raise RuntimeError("an algorithm that does not need a periodic graph has asked for its period")
        return self.transmission.network.period

    @property
    def phase(self) -> int:
        """Which of them the next exchange takes place over, from 0."""
        return len(self.transmission.past) % self.periods

    def compress(self, x: Tensor) -> Message:
        """What of (K, P) is to be sent, by the spec's compressor. Nothing is sent yet: see `mix`."""
        self._compressed += 1
        if self._compression is None:
            return Message(x, bytes_of(x))
        return self._compression(x, self.transmission.moment.round, self._compressed)

    def mix(self, *tensors: Tensor, said: Sequence[Tensor | Message] | None = None) -> tuple[Tensor, ...]:
        """Each (K, P) tensor x as W_t x, all carried by the same messages; inputs are left as they are.

        said: what the messages hold, if it is not the tensors themselves but what everybody makes them of. The results
        are nobody else's: they may be changed in place.
        """
        weight = sum(map(bytes_of, tensors if said is None else said))
        exchange, then = self._exchange(tensors, weight)
        self._last = exchange.weights, then
        return self._apply(exchange.weights, tensors, then)

    def difference(self, x: Tensor) -> Tensor:
        """W_t x - x of (K, P), in whose rounding errors only the differences between devices count, not their models.

        Devices would add w_kj (x_j - x_k). In float32 W_t x - x itself is of one sign where weights do not quite sum
        to 1, and what adds it up over thousands of rounds drifts away.
        """
        exchange, (then,) = self._exchange((x,), bytes_of(x))
        now = x - x[:1]
        return self._apply(exchange.weights, (now,), (now if then is x else then - x[:1],))[0] - now

    def heard(self, mixed: Tensor) -> Tensor:
        """Of the last exchange, whose first result was `mixed`: the weighted mean of what was heard of the *others*.

        (K, P); the weights are the rule's without the self weight, rescaled to 1. Who heard nobody: `mixed`.
        """
        if self._last is None:
            raise RuntimeError("nothing has been heard yet: mix first")
        weights, then = self._last
        return self._apply(weights.others(), (mixed,), then[:1])[0]

    def adopt(self, owners: np.ndarray, rank: np.ndarray, message_bytes: int) -> np.ndarray:
        """One election round: owners[k] becomes, of itself and the owners heard, the one of highest rank.

        owners: (K,) device numbers; rank: (K,) by device number, each of 0 .. K - 1 once.
        """
        exchange, (then,) = self._exchange((torch.from_numpy(owners),), message_bytes)
        best = rank[owners]
        receivers, senders = exchange.weights.receivers[exchange.heard], exchange.weights.senders[exchange.heard]
        np.maximum.at(best, receivers, rank[then.numpy()[senders]])
        holder = np.empty_like(rank)
        holder[rank] = np.arange(len(rank))
        leaders: np.ndarray = holder[best]
        return leaders

    def each(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(S, K, P) each device's own row of x, then those it hears, one by one; (S, K) their weights, which sum to 1.

        Who hears fewer than others has its own row again, of weight 0. Without failures.
        """
        exchange, _ = self._exchange((x,), bytes_of(x))
        weights = exchange.weights
        place = 1 + among_equals(weights.receivers)
        rows = np.tile(np.arange(len(x)), (place.max(initial=0) + 1, 1))
        shares = np.zeros(rows.shape)
        shares[0] = weights.own
        rows[place, weights.receivers], shares[place, weights.receivers] = weights.senders, weights.link
        return x[rows], torch.from_numpy(shares).to(x)

    def relay(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """Over every link the sender's row of x (K, P) and the sum of what it heard before of all but the receiver.

        (K, P) x with the sum of all that was heard; (E, P) what each link carried, `before` of the next call. For
        static graphs without failures.
        """
        exchange, _ = self._exchange((x,), bytes_of(x))
        receivers, senders = exchange.weights.receivers, exchange.weights.senders
        messages = x[senders]
        if before is not None:
            back = np.lexsort((receivers, senders))  # links are in order: the number of each one's reverse
            messages = messages + added(torch.zeros_like(x), before, receivers)[senders] - before[back]
        return added(x, messages, receivers), messages

    def all_reduce(self, x: Tensor) -> Tensor:
        """(K, P) the mean of the rows of x, K times; each device sends 2 (K - 1) messages of P / K values."""
        parts = 2 * (len(x) - 1)
        self.messages += parts * len(x)
        self.bytes_sent += parts * x.shape[1] * x.element_size()
        return x.mean(dim=0, keepdim=True).repeat(len(x), 1)

    def server_mean(self, x: Tensor, weights: Tensor, participants: Tensor) -> Tensor:
        """The (P,) mean of the participants' rows of x by weights (K,); each downloads one model and uploads one."""
        self.messages += 2 * len(participants)
        self.bytes_sent += 2 * len(participants) * x[0].numel() * x.element_size()
        share = weights[participants] / weights[participants].sum()
        return share.to(x.dtype) @ x[participants]

    def _exchange(self, tensors: tuple[Tensor, ...], message_bytes: int) -> tuple[Exchange, tuple[Tensor, ...]]:
        """Send `tensors`, (K, ...) each. The exchange, and the tensors that what arrives was taken from."""
        exchange = self.transmission.next(packets_of(message_bytes))
        sent = int(np.count_nonzero(exchange.sent))
        self.messages += sent
        self.bytes_sent += sent * message_bytes
        if not exchange.delay:
            return exchange, tensors
        self._past.append(tuple(copy_of(x) for x in tensors))
        return exchange, self._past.popleft() if len(self._past) > exchange.delay else tensors

    def _apply(self, weights: Weights, tensors: tuple[Tensor, ...], then: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """own * now + links * then, packet by packet where weights have a packet axis: as they lie in the message."""
        apply = self._product(weights, tensors[0])
        width = PACKET_BYTES // tensors[0].element_size()
        if weights.link.ndim == 1:
            return tuple(apply(x, old, width) for x, old in zip(tensors, then, strict=True))
        now = torch.cat(tensors, dim=1)
        mixed = apply(now, now if then is tensors else torch.cat(then, dim=1), width)
        return tuple(torch.split(mixed, [x.shape[1] for x in tensors], dim=1))

    def _product(self, weights: Weights, like: Tensor) -> Product:
        """W as something that multiplies, made anew only when the weights have changed."""
        if self._held is None or self._held[0] is not weights or self._held[1] != like.dtype:
            self._held = weights, like.dtype, product(weights, like, self._library)
        return self._held[2]


def packets_of(message_bytes: int) -> int:
    """How many packets a message has. Numbers of 4 or 8 bytes are not cut in two: they fill packets to the byte."""
    return -(-message_bytes // PACKET_BYTES)
