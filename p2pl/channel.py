"""The only way between devices: no algorithm knows of graphs, failures, delays or bytes.

channel.mix(x)            W_t x, one message of P values over every link that is used
channel.adopt(...)        one round of an election: take over the best of those heard
channel.server_mean(...)  the star to and from a server that FedAvg assumes
"""

from __future__ import annotations

from collections import deque
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from p2pl.spectrum import flooding_time, period_matrix, stationary
from p2pl.transmission import Exchange, Transmission, Weights

PACKET_BYTES = 1448  # payload of a TCP segment in an Ethernet frame of 1,500 bytes
DENSE_ABOVE = 0.06  # share of non-zero weights above which a dense product is the faster one on a CPU


class Channel:
    """Applies the exchanges of a Transmission to tensors and counts what is sent.

    transmission: None for algorithms that do not speak over links.
    messages, bytes_sent: totals since the start, over all devices; lost messages count, for they were sent.
    """

    def __init__(self, transmission: Transmission | None) -> None:
        self._transmission = transmission
        self.messages = 0
        self.bytes_sent = 0
        self._own = torch.zeros(1, 1)
        self._past: deque[tuple[Tensor, ...]] = deque()
        self._owners: deque[np.ndarray] = deque()
        self._operator: tuple[Weights, torch.dtype, Operator] | None = None

    @property
    def transmission(self) -> Transmission:
        if self._transmission is None:
            raise RuntimeError("an algorithm registered with graph=False has spoken over links")
        return self._transmission

    def begin_round(self, number: int) -> None:
        """Tells failure models of the round."""
        if self._transmission is not None:
            self._transmission.moment.round = number

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

    def mix(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Each (K, P) tensor x as W_t x, all carried by the same messages; inputs are left as they are."""
        values, itemsize = sum(x.shape[1] for x in tensors), tensors[0].element_size()
        exchange = self.transmission.next(history=len(self._past), packets=packets_of(values, itemsize))
        self._count(exchange, values * itemsize)
        self._own = torch.as_tensor(exchange.weights.own).reshape(len(tensors[0]), -1)
        old = self._recall(exchange.delay, tensors)
        if exchange.weights.link.ndim == 1:
            return tuple(self._apply(exchange.weights, x, then) for x, then in zip(tensors, old, strict=True))
        return self._apply_packets(exchange.weights, tensors, old)

    def heard(self, x: Tensor, mixed: Tensor) -> Tensor:
        """Of the last exchange, in which x became `mixed`: the weighted mean of what was heard of the *others*.

        (K, P); its weights are the rule's without the self weight, rescaled to 1. Who heard nobody: `mixed` itself.
        """
        own = self._own.to(x)
        if own.shape[1] > 1:
            own = own.repeat_interleave(PACKET_BYTES // x.element_size(), dim=1)[:, : x.shape[1]]
        alone = own >= 1 - 1e-6
        return torch.where(alone, mixed, (mixed - own * x) / (1 - own).clamp_min(1e-6))

    def adopt(self, owners: np.ndarray, score: np.ndarray, message_bytes: int) -> np.ndarray:
        """One election round: owners[k] becomes, of itself and the owners heard, the one with the highest score.

        owners: (K,) device numbers; score: (K,) floats by device number, ties to the lower number.
        """
        exchange = self.transmission.next(history=len(self._owners), packets=-(-message_bytes // PACKET_BYTES))
        self._count(exchange, message_bytes)
        self._owners.append(owners)
        then = self._owners[-1 - exchange.delay] if exchange.delay < len(self._owners) else owners
        order = np.lexsort((-np.arange(len(score)), score))  # ascending; ties go to the lower number
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        best = rank[owners]
        receivers, senders = exchange.weights.receivers[exchange.heard], exchange.weights.senders[exchange.heard]
        np.maximum.at(best, receivers, rank[then[senders]])
        leaders: np.ndarray = order[best]
        return leaders

    def server_mean(self, x: Tensor, weights: Tensor, participants: Tensor) -> Tensor:
        """The (P,) mean of the participants' rows of x by weights (K,); each downloads one model and uploads one."""
        self.messages += 2 * len(participants)
        self.bytes_sent += 2 * len(participants) * x[0].numel() * x.element_size()
        share = weights[participants] / weights[participants].sum()
        return share.to(x.dtype) @ x[participants]

    def _count(self, exchange: Exchange, message_bytes: int) -> None:
        sent = int(exchange.sent.sum())
        self.messages += sent
        self.bytes_sent += sent * message_bytes

    def _recall(self, delay: int, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """What the messages that arrive now hold: the tensors of `delay` mixing steps ago."""
        if not delay:
            return tensors
        self._past.append(tuple(x.clone() for x in tensors))
        if len(self._past) <= delay:
            return tensors  # nothing has arrived yet: the weights of this exchange ignore it
        return self._past.popleft()

    def _apply(self, weights: Weights, x: Tensor, then: Tensor) -> Tensor:
        if then is x:
            return self._product(weights, x)
        own = torch.as_tensor(weights.own, dtype=x.dtype, device=x.device)
        others = Weights(
            weights.receivers, weights.senders, np.zeros_like(weights.own), weights.link, weights.stochastic
        )
        return own[:, None] * x + self._product(others, then)

    def _product(self, weights: Weights, x: Tensor) -> Tensor:
        """W x; the matrix is made anew only when the weights have changed."""
        if self._operator is None or self._operator[0] is not weights or self._operator[1] != x.dtype:
            self._operator = weights, x.dtype, Operator(weights.matrix(), x)
        return self._operator[2] @ x

    def _apply_packets(
        self, weights: Weights, tensors: tuple[Tensor, ...], old: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """Part by part: one matrix a packet, over the concatenation of the tensors as they lie in the message."""
        now, then = torch.cat(tensors, dim=1), torch.cat(old, dim=1)
        result = torch.empty_like(now)
        width = PACKET_BYTES // now.element_size()
        for packet in range(weights.link.shape[1]):
            part = slice(packet * width, (packet + 1) * width)
            whole = weights.matrix(packet)
            if then is now or old is tensors:
                result[:, part] = Operator(whole, now) @ now[:, part]
            else:
                own = torch.as_tensor(weights.own[:, packet], dtype=now.dtype, device=now.device)
                off = sp.csr_array(whole - sp.diags_array(weights.own[:, packet]))
                result[:, part] = own[:, None] * now[:, part] + Operator(off, now) @ then[:, part]
        return tuple(torch.split(result, [x.shape[1] for x in tensors], dim=1))


def packets_of(values: int, itemsize: int) -> int:
    """How many packets a message of `values` numbers of `itemsize` bytes has."""
    return -(-values // (PACKET_BYTES // itemsize))


class Operator:
    """A (K, K) matrix that multiplies (K, P) tensors from the left: dense or sparse, whichever is faster on a CPU."""

    def __init__(self, matrix: sp.csr_array, like: Tensor) -> None:
        self.dense: Tensor | None = None
        self.sparse = matrix.astype(np.float64 if like.dtype == torch.float64 else np.float32)
        if matrix.nnz > DENSE_ABOVE * matrix.shape[0] ** 2:
            self.dense = torch.as_tensor(matrix.toarray(), dtype=like.dtype, device=like.device)

    def __matmul__(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.sparse @ x.numpy()) if self.dense is None else self.dense @ x
