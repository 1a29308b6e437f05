"""Which messages get through at each mixing step, and the weights W_t that follow.

    W_t[k, j] = weight that device k gives to what it holds of device j,   every row of every W_t sums to 1

(a column-stochastic rule: every column). No torch here: the engine applies W_t to models, the theory to coefficients,
and both see the same draws.

A lost message changes the weights by the kind of the rule, declared as `@mixing(stochastic=...)`:

- `row`: the receiver re-weights over those that it did hear (its row is rescaled to 1);
- `doubly`: the receiver gives the lost weight to itself, so that W_t stays symmetric when losses are;
- `column`: the sender keeps the share that did not arrive, so that no mass is lost (push-sum). What is late is mass
  under way: columns of what is held and of what is sent sum to 1 together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import networkx as nx
import numpy as np
import scipy.sparse as sp

from p2pl import registry
from p2pl.network import Network
from p2pl.registry import Component
from p2pl.seeds import stream


class Fate(NamedTuple):
    """What a failure model does to the messages of one mixing step; None means that it does nothing.

    heard: (E,) bool, whether the message over each link arrives; or (E, B), each of its B packets.
    sent: (E,) bool, whether it is transmitted at all: what is not sent is not heard and costs nothing.
    delay: how many mixing steps the messages are under way.
    """

    heard: np.ndarray | None = None
    sent: np.ndarray | None = None
    delay: int = 0


@dataclass(frozen=True)
class Weights:
    """A mixing matrix by its links: K self weights, and a weight for each of E links (receiver <- sender).

    own is (K,) and link (E,); with a packet axis (K, B) and (E, B).
    """

    receivers: np.ndarray
    senders: np.ndarray
    own: np.ndarray
    link: np.ndarray
    stochastic: str

    @classmethod
    def of(cls, matrix: sp.csr_array, links: np.ndarray, stochastic: str) -> Weights:
        """From a (K, K) matrix and the (E, 2) links (receiver, sender) that it may use."""
        values = np.asarray(matrix[links[:, 0], links[:, 1]]).reshape(-1) if len(links) else np.zeros(0)
        return cls(links[:, 0], links[:, 1], matrix.diagonal().astype(np.float64), values, stochastic)

    def without(self, lost: np.ndarray) -> Weights:
        """The weights when the messages of `lost`, (E,) or (E, B) bool, do not arrive."""
        if not lost.any():
            return self
        own, full = self.own, self.link
        if packets := lost.shape[1:]:
            own, full = (np.broadcast_to(part[:, None], (len(part), *packets)) for part in (own, full))
        own, link = own.copy(), np.where(lost, 0.0, full)
        if self.stochastic == "row":
            total = own.copy()
            np.add.at(total, self.receivers, link)
            alone, hit = total <= 0, np.zeros(own.shape, dtype=bool)
            which, *packet = np.nonzero(lost)
            hit[(self.receivers[which], *packet)] = True
            own[alone] = 1.0  # who hears nobody and gave itself no weight keeps what it has
            total[alone | ~hit] = 1.0
            own, link = own / total, link / total[self.receivers]
        else:
            keeper = self.receivers if self.stochastic == "doubly" else self.senders
            np.add.at(own, keeper, np.where(lost, full, 0.0))
        return Weights(self.receivers, self.senders, own, link, self.stochastic)

    def with_late(self, late: Weights) -> Weights:
        """These self weights, with what arrives of earlier ones; with a packet axis if either has one."""
        packets = max(self.link, late.link, key=np.ndim).shape[1:]
        own, link = (
            np.broadcast_to(part.reshape(len(part), -1) if packets else part, (len(part), *packets)).copy()
            for part in (self.own, late.link)
        )
        return replace(self, own=own, link=link)

    def others(self) -> Weights:
        """The weights of what was heard alone, rescaled to 1; who heard nobody gives all weight to itself."""
        total = np.zeros_like(self.own)
        np.add.at(total, self.receivers, self.link)
        alone = total == 0
        return replace(self, own=alone.astype(np.float64), link=self.link / np.where(alone, 1, total)[self.receivers])

    def matrix(self, packet: int | None = None) -> sp.csr_array:
        """W_t as a (K, K) sparse array, float64; of one packet where weights have a packet axis."""
        own, link = (self.own, self.link) if packet is None else (self.own[:, packet], self.link[:, packet])
        diagonal = np.arange(len(own))
        rows, columns = np.concatenate([diagonal, self.receivers]), np.concatenate([diagonal, self.senders])
        return sp.csr_array((np.concatenate([own, link]), (rows, columns)), shape=(len(own), len(own)))


class Exchange(NamedTuple):
    """One mixing step.

    weights: for what arrives now. used, sent: (E,) bool, the links of this step's graph, and those of them that are
    spoken over. heard: (E,) bool, links over which a whole message arrives, sent `delay` steps ago.
    """

    weights: Weights
    used: np.ndarray
    sent: np.ndarray
    heard: np.ndarray
    delay: int


def links_of(graphs: Sequence[nx.Graph[int]]) -> np.ndarray:
    """All (receiver, sender) pairs of the graphs as a sorted (E, 2) array; an undirected edge is two links."""
    pairs = {(v, u) for graph in graphs for u, v in graph.edges}
    pairs |= {(u, v) for graph in graphs if not graph.is_directed() for u, v in graph.edges}
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


@dataclass
class Moment:
    """What failure models may know of the exchange that is on.

    round: 0 during the initialization. packets: how many packets each of its messages is split into.
    """

    round: int = 0
    packets: int = 1


class Transmission:
    """The sequence of exchanges of a run, one after another: graph, weights, failures.

    Raises SpecError if the mixing rule does not fit the graph.
    """

    def __init__(
        self,
        network: Network,
        rule: Component,
        sizes: np.ndarray,
        failures: Sequence[Component] = (),
        seed: int = 0,
    ) -> None:
        self.network, self.rule, self.sizes = network, rule, np.asarray(sizes)
        self.stochastic: str = registry.mixing.entry(rule.name).traits["stochastic"]
        self.moment = Moment()
        self.past: list[tuple[int, int]] = []  # round and packets of each exchange that has taken place
        self.links = self._all_links() if failures else None
        given = {"links": self.links, "devices": len(sizes), "moment": self.moment}

        def models() -> list[Iterator[Fate]]:
            streams = [stream(seed, "failures", number) for number in range(len(failures))]
            return [registry.failure.call(one, rng=rng, **given) for one, rng in zip(failures, streams, strict=True)]

        for fates in models():  # a generator refuses its options when it is first asked: that is to be now
            next(fates)
        self._fates = models()
        self._under_way: deque[tuple[Weights, np.ndarray]] = deque()
        self._cache: dict[int, tuple[Weights, np.ndarray]] = {}
        for phase in range(network.period or 1):  # a rule refuses graphs that it does not fit, now and not in round 7
            self._weights(phase)

    def _all_links(self) -> np.ndarray:
        """The links that any step may use: failures are drawn for all of these, so that a link keeps its history."""
        if self.network.period is None:
            return np.argwhere(~np.eye(len(self.sizes), dtype=bool))
        return links_of([self.network.at(step) for step in range(self.network.period)])

    def _weights(self, step: int) -> tuple[Weights, np.ndarray]:
        """The loss-free weights of a step, and which of the links its graph has; kept for graphs that come again."""
        phase = step if self.network.period is None else step % self.network.period
        if phase not in self._cache:
            if self.network.period is None:
                self._cache.clear()
            graph = self.network.at(step)
            matrix = self.network.weights(self.rule, self.sizes, step)
            now = links_of([graph])
            links = now if self.links is None else self.links
            used = np.isin(links @ (len(graph), 1), now @ (len(graph), 1))
            self._cache[phase] = Weights.of(matrix, links, self.stochastic), used
        return self._cache[phase]

    def begin(self, number: int) -> None:
        """Round `number` begins. What is under way when the initialization ends is dropped: its messages are others."""
        if self.moment.round == 0 and number:
            self._under_way.clear()
        self.moment.round = number

    def next(self, packets: int = 1) -> Exchange:
        """The next exchange, of messages of so many packets.

        With a delay of d steps, what arrives is what was sent d steps ago, over the graph and with the losses of then.
        """
        weights, used = self._weights(len(self.past))
        self.moment.packets = packets
        self.past.append((self.moment.round, packets))
        if not self._fates:
            return Exchange(weights, used, used, used, 0)
        heard, sent, delay = used[:, None], used, 0  # (E, 1), or (E, B) where packets are lost one by one
        for fates in self._fates:
            fate = next(fates)
            delay += fate.delay
            if fate.sent is not None:
                sent = sent & fate.sent
            if fate.heard is not None:
                heard = heard & (fate.heard if fate.heard.ndim == 2 else fate.heard[:, None])
        heard = heard & sent[:, None]
        lost = used[:, None] & ~heard
        arriving = weights.without(lost if lost.shape[1] > 1 else lost[:, 0]), heard.all(axis=1)
        if delay:
            self._under_way.append(arriving)
            nothing = weights.without(used), np.zeros_like(used)
            late = self._under_way.popleft() if len(self._under_way) > delay else nothing
            if self.stochastic == "column":  # a share is given away when it is sent, not when it arrives
                late = arriving[0].with_late(late[0]), late[1]
            arriving = late
        return Exchange(arriving[0], used, sent, arriving[1], delay)

    def replay(self, past: Sequence[tuple[int, int]]) -> None:
        """Go on as if these exchanges (round, packets) had taken place. To be called on a new Transmission."""
        for number, packets in past:
            self.begin(number)
            self.next(packets)
