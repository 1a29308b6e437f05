"""Curves of many settings of one spec, each for a fraction of the price of its run, and the rounds to a target.

What the settings of a seed share is made once for all of them, and all of them go through their rounds side by side; a
setting is a topology, a mixing rule and failures, with the very draws of its run. Two ways:

    span    networks that see a few numbers of every input, by the run's own engine       `theory.restricted`
    path    outputs moved by the kernels along one centralized run                        `theory.path`
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from torch import Tensor

from p2pl import data
from p2pl.data import Dataset
from p2pl.experiment import Experiment
from p2pl.metrics import Meter
from p2pl.registry import SpecError
from p2pl.scenario import Scenario, parameters_of, stage
from p2pl.summary import summarize
from theory.beside import Settings
from theory.exchanges import Exchanges
from theory.orders import order_of
from theory.packets import by_packets
from theory.path import ANCHORS, KernelPath, OnPath
from theory.predict import write_told
from theory.restricted import DIRECTIONS, Restricted

SOURCE = "forecast"
SETTING = ("topology", "mixing", "failures")  # what settings that go side by side may differ in


@dataclass(frozen=True)
class Method:
    """by: see above. directions: of `span`. anchors: kernels of `path`."""

    by: Literal["span", "path"] = "span"
    directions: int = DIRECTIONS
    anchors: int = ANCHORS


class Networks(Protocol):
    """K networks a setting as one way has them, those of S settings in `theory.beside.Settings`.

    parametric: whether x are parameters, so that distances between them mean something.
    """

    parametric: bool
    test: Tensor
    test_targets: Tensor

    def slots(self) -> dict[str, Tensor]:
        """x and velocity of all settings at the start, (S K, D) each."""
        ...

    def learn(self, settings: Settings, round: int) -> None:
        """The learning phase of a round."""
        ...

    def outputs(self, x: Tensor) -> Tensor:
        """(B, T, C) at the test samples, of rows (B, D)."""
        ...


@dataclass(frozen=True)
class Forecast:
    """rows, summary: as of a run, at the ends of rounds."""

    rows: list[dict[str, Any]]
    summary: dict[str, Any]


def forecast(
    experiments: Sequence[Experiment], known: Dataset, method: Method, targets: Sequence[float] = ()
) -> list[Forecast]:
    """Forecasts of experiments that differ in SETTING only, side by side.

    Raises SpecError for a spec that the way cannot treat, saying which part, and what would do.
    """
    began = time.perf_counter()
    first = stage(experiments[0], known=known)
    order = order_of(experiments[0], [len(shard) for shard in first.shards])
    if "drift" in order.slots or experiments[0].algorithm.name == "fedavg":
        raise SpecError("forecasts cover p2pl without affinity, dsgd and dgd; `p2pl run` covers the rest")
    scenarios, draws = beside(first, experiments), first.draw()
    values = len(parameters_of(first.module)) * len(order.sent)
    if any(by_packets(one, values) for one in scenarios):
        raise SpecError(
            "the small networks of a forecast do not travel in the packets of a run: failures of whole messages (links,"
            " bursts, churn) would do, not of packets"
        )
    exchanges = [Exchanges(scenario, order, draws) for scenario in scenarios]
    networks = networks_of(method, first, [one.starts for one in exchanges])
    shared = time.perf_counter() - began
    rows: list[list[dict[str, Any]]] = [[] for _ in experiments]
    statuses = ["finished" for _ in experiments]
    for number, measured in measures(first, networks, exchanges):
        place = {"round": number, "phase": order.phases[-1] if number else "start"}
        for index, (one, found) in enumerate(zip(exchanges, measured, strict=True)):
            if not all(math.isfinite(value) for value in found.values() if isinstance(value, float)):
                statuses[index] = f"diverged at round {number}" if statuses[index] == "finished" else statuses[index]
            if statuses[index] == "finished":
                rows[index].append(place | found | {"messages": one.messages, "bytes_sent": one.bytes_sent})
    seconds = (time.perf_counter() - began - shared) / len(experiments)
    facts = {
        "source": SOURCE,
        "data": {"name": known.name, "source": known.source, "checksum": known.checksum},
        "seconds": round(seconds, 3),
        "shared_seconds": round(shared, 3),
    }
    return [told(*one, facts, targets) for one in zip(experiments, rows, statuses, strict=True)]


def beside(first: Scenario, experiments: Sequence[Experiment]) -> list[Scenario]:
    """Those of experiments that differ in SETTING only, the first of which is known. What has one topology has one
    network, and so one set of weights."""
    known, scenarios = {first.experiment.topology: first}, []
    for experiment in experiments:
        scenarios.append(known.get(experiment.topology, first).beside(experiment))
        known.setdefault(experiment.topology, scenarios[-1])
    return scenarios


def networks_of(method: Method, scenario: Scenario, starts: Sequence[Tensor]) -> Networks:
    """The networks of settings that start so."""
    if method.by == "span":
        return Restricted(scenario, starts, method.directions)
    return OnPath(KernelPath(scenario, method.anchors), scenario, starts)


def measures(
    scenario: Scenario, networks: Networks, exchanges: Sequence[Exchanges]
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The rounds that are to be measured, and what is measured after them in each setting."""
    experiment = scenario.experiment
    own, loss = scenario.own_classes(), experiment.loss
    meter = Meter(lambda x, _: networks.outputs(x), networks.test, networks.test_targets, loss, own, None)
    unknown = {} if networks.parametric else {"consensus_distance": None}
    for number, x in played(experiment, networks, exchanges):
        yield number, [row | unknown for row in meter.measure_all(x)]


def played(experiment: Experiment, networks: Networks, exchanges: Sequence[Exchanges]) -> Iterator[tuple[int, Tensor]]:
    """The rounds that are to be measured, and x of all settings (S, K, D) after them."""
    settings, order = Settings(networks.slots(), len(exchanges)), exchanges[0].order
    yield 0, settings.each("x")
    everybody = np.arange(experiment.devices)
    for number in range(1, experiment.rounds + 1):
        for phase in order.phases:
            if phase == "learn":
                order.before(settings)
                networks.learn(settings, number)
            else:
                settings.cooperate(order, [one.of_round(number, everybody) for one in exchanges])
        if experiment.evaluation.due(number, experiment.rounds, ends=True):
            yield number, settings.each("x")


def told(
    experiment: Experiment,
    rows: list[dict[str, Any]],
    status: str,
    facts: dict[str, Any],
    targets: Sequence[float],
) -> Forecast:
    """A setting's forecast, from what was measured."""
    named = {"run": experiment.key, "seed": experiment.seed}
    rows = [named | row | {"status": status} for row in rows]
    summary = summarize(experiment, rows, status) | {"spec": experiment.spec()} | facts
    summary["rounds_to"] = {f"{target:g}": reached(rows, target) for target in targets}
    return Forecast(rows, summary)


def reached(rows: Sequence[dict[str, Any]], target: float) -> int | None:
    """The first round at which the mean accuracy of the devices is `target`; None if it never is."""
    return min((row["round"] for row in rows if (row["accuracy_mean"] or 0) >= target), default=None)


def forecast_all(
    experiments: Sequence[Experiment], method: Method, targets: Sequence[float], out: Path | None = None
) -> Iterator[dict[str, Any]]:
    """Forecast experiments, those side by side that can be, and if asked write all their rows to `out`.

    Yields the summaries. The file is a results file (see `p2pl.results`) with one column more, source, which says
    "forecast".
    """
    known = {choice: data.load(choice) for choice in {experiment.dataset for experiment in experiments}}
    found = []
    together: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        together.setdefault(shared_by(experiment), []).append(experiment)
    for several in together.values():
        for one in forecast(several, known[several[0].dataset], method, targets):
            found.append(one)
            yield one.summary
    if out is not None:
        write_told(found, SOURCE, out, {"method": asdict(method)})


def shared_by(experiment: Experiment) -> str:
    """What experiments that go side by side have in common, in words."""
    return json.dumps({key: value for key, value in experiment.spec().items() if key not in SETTING}, sort_keys=True)
