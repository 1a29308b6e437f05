"""The graph of an experiment over time: built, redrawn until connected, and checked, before anything trains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import networkx as nx
import numpy as np
import scipy.sparse as sp

from p2pl.registry import Component, SpecError, mixing, topology
from p2pl.seeds import stream

DRAWS = 1000


class Network:
    """Who hears whom at every mixing step.

        >>> network = Network({"name": "erdos_renyi", "p": 0.3}, devices=20, seed=1)
        >>> network.period, network.at(0) is network.at(7)
        (1, True)

    name      of the topology
    directed  whether its graphs are nx.DiGraph, in which an edge (u, v) says that v hears u
    period    1 for a static graph, the length of a repeating list, None if drawn anew at each step
    redraws   how many random draws were thrown away because they left devices apart

    Static and periodic random graphs come from the stream ("graph", 0) of the seed, those of step t from
    ("graph", 1 + t). The graphs are frozen: nobody changes them on the way.

    Raises SpecError for an unknown topology or option, a size that it cannot have, a graph that breaks the contract of
    `p2pl.topologies`, or one that is not connected in any of DRAWS draws.
    """

    def __init__(self, choice: str | Mapping[str, Any] | Component, devices: int, seed: int = 0) -> None:
        self.component = topology.resolve(choice)
        self.name = self.component.name
        self.devices = devices
        self.seed = seed
        if devices < 1:
            raise SpecError(f"devices: expected an integer of at least 1, got {devices}")
        self._given = topology.entry(self.name).given
        self.redraws = 0
        self._weights: dict[tuple[Component, bytes, int], sp.csr_array] = {}
        if "step" in self._given:
            self.period: int | None = None
            self._graphs: list[nx.Graph[int]] = []
            self.directed = self.at(0).is_directed()
        else:
            self._graphs = self._connected_draw()
            self.period = len(self._graphs)
            self.directed = self._graphs[0].is_directed()

    @property
    def static(self) -> bool:
        """Whether the graph is the same at every step."""
        return self.period == 1

    def at(self, step: int) -> nx.Graph[int]:
        """The graph of mixing step `step` (from 0): the very same object for equal steps of a period."""
        if self.period is None:
            drawn = topology.call(
                self.component, devices=self.devices, rng=stream(self.seed, "graph", 1 + step), step=step
            )
            return self._checked(drawn)
        return self._graphs[step % self.period]

    def weights(self, rule: Component, sizes: np.ndarray, step: int) -> sp.csr_array:
        """W of mixing step `step` without failures, (K, K), for devices with so many samples.

        Of graphs that come again it is made once, for all that exchange over this network: it is to be left as it is.
        Raises SpecError if the rule does not fit the graph.
        """
        if self.period is None:
            return mixing.call(rule, graph=self.at(step), sizes=sizes)
        key = rule, sizes.tobytes(), step % self.period
        if key not in self._weights:
            self._weights[key] = mixing.call(rule, graph=self.at(step), sizes=sizes)
        return self._weights[key]

    def _connected_draw(self) -> list[nx.Graph[int]]:
        """The list of graphs of one period, the first draw of which joins all devices."""
        rng = stream(self.seed, "graph", 0)
        for redraws in range(DRAWS):
            drawn = topology.call(self.component, devices=self.devices, rng=rng, step=0)
            graphs = [self._checked(graph) for graph in (drawn if isinstance(drawn, list) else [drawn])]
            if not graphs or len({graph.is_directed() for graph in graphs}) > 1:
                raise SpecError(f"topology '{self.name}': a period is a list of graphs, all or none of them directed")
            if connected(graphs):
                self.redraws = redraws + sum(graph.graph.get("redraws", 0) for graph in graphs)
                return graphs
            if "rng" not in self._given:
                raise SpecError(f"topology '{self.name}' leaves devices apart: {self.devices} devices, {self._options}")
        raise SpecError(
            f"topology '{self.name}': none of {DRAWS} draws joined all {self.devices} devices with {self._options}; "
            "options that give more links would do"
        )

    @property
    def _options(self) -> str:
        options = [f"{key}: {value}" for key, value in self.component.options.items() if value is not None]
        return ", ".join(options) or "its defaults"

    def _checked(self, graph: Any) -> nx.Graph[int]:
        """`graph` if it keeps the contract of `p2pl.topologies`, frozen."""
        where = f"topology '{self.name}'"
        if not isinstance(graph, nx.Graph) or graph.is_multigraph():
            raise SpecError(f"{where} returned {type(graph).__name__}, not an nx.Graph or nx.DiGraph")
        if set(graph) != set(range(self.devices)):
            raise SpecError(f"{where} returned nodes other than 0..{self.devices - 1}")
        if nx.number_of_selfloops(graph):
            raise SpecError(f"{where} returned self-loops; a device always has itself, leave them out")
        nx.freeze(graph)
        return graph


def connected(graphs: Iterable[nx.Graph[int]]) -> bool:
    """Whether the union of `graphs` (all directed or none) leads from every device to every other."""
    union = nx.compose_all(graphs)
    return bool(nx.is_strongly_connected(union) if isinstance(union, nx.DiGraph) else nx.is_connected(union))
