"""What `p2pl graph` says of a topology with a mixing rule: how far, how fast, and whose word counts how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np

from p2pl import registry
from p2pl.network import Network
from p2pl.spectrum import diameter, flooding_time, period_matrix, slem, stationary


@dataclass(frozen=True)
class Facts:
    """Of a network with equal data on every device. See `describe`."""

    network: Network
    rule: str
    diameter: int | None
    flooding_time: int
    slem: float | None
    stationary: np.ndarray | None
    edges: list[tuple[int, int]]

    def plain(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {
            "topology": self.network.name,
            "devices": self.network.devices,
            "mixing": self.rule,
            "directed": self.network.directed,
            "period": self.network.period,
            "redraws": self.network.redraws,
            "diameter": self.diameter,
            "flooding_time": self.flooding_time,
            "slem": self.slem,
            "stationary": None if self.stationary is None else self.stationary.tolist(),
            "edges": self.edges,
        }


def describe(topology: Any, devices: int, mixing: Any, seed: int = 0) -> Facts:
    """Build a topology and a rule (names, or mappings with options) and measure them.

    diameter: of the graph; of the union of a period. flooding_time: mixing steps until everybody has heard of everybody
    (the diameter, where the graph is static). slem, stationary: of one period's product of weights; None, like the
    diameter, where the graph is drawn anew at each step. edges: of the first graph. Raises SpecError.
    """
    network, rule = Network(topology, devices, seed), registry.mixing.resolve(mixing)
    spread, limit, hops = None, None, None
    if network.period is not None:
        union = nx.compose_all([network.at(step) for step in range(network.period)])
        weights = period_matrix(network, rule, np.ones(devices, dtype=np.int64))
        column = registry.mixing.entry(rule.name).traits["stochastic"] == "column"
        spread, limit, hops = slem(weights), stationary(weights.T if column else weights), diameter(union)
    edges = sorted((int(u), int(v)) for u, v in network.at(0).edges)
    return Facts(network, rule.name, hops, flooding_time(network), spread, limit, edges)


def text(facts: Facts) -> str:
    """For a person."""
    network = facts.network
    varies = {1: "static", None: "drawn anew at each step"}.get(network.period, f"repeats after {network.period} steps")
    kind = "directed" if network.directed else "undirected"
    lines = [
        f"{network.name}, {network.devices} devices: {kind}, {varies}, {len(facts.edges)} edges",
        f"mixing {facts.rule}, equal data",
        f"  diameter         {facts.diameter}",
        f"  flooding time    {facts.flooding_time} mixing steps",
    ]
    if facts.slem is not None and facts.stationary is not None:
        lines.append(f"  SLEM             {facts.slem:.4f}" + ("" if network.static else " of one period"))
        scaled = facts.stationary * network.devices
        lines.append(f"  stationary x K   most {scaled.max():.4g} (device {scaled.argmax()}), least {scaled.min():.4g}")
    if network.redraws:
        lines.append(f"  redrawn          {network.redraws} times until connected")
    return "\n".join(lines)
