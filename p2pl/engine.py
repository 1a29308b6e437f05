"""The loop, owned once: an experiment unfolds into snapshots.

for snapshot in simulate(Experiment(dataset="digits", devices=8, rounds=20)):
    print(snapshot.round, snapshot.phase, snapshot.measures)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from p2pl import registry
from p2pl.accelerator import device_of
from p2pl.algorithm import Algorithm, tensors_of
from p2pl.channel import Channel
from p2pl.data import Dataset
from p2pl.experiment import Experiment
from p2pl.learners import batched, choose_learner
from p2pl.local_data import LocalData
from p2pl.memory import check_room
from p2pl.metrics import Meter
from p2pl.scenario import Scenario, stage, tensors
from p2pl.training import LocalWork


@dataclass(frozen=True)
class Snapshot:
    """The K models after one phase of one round.

    phase: `start` (round 0, after initialization), `learn` or `cooperate`. models: (K, P). measures: a row of results
    (see `p2pl.metrics`) with the cost so far; None in rounds that are not evaluated. status: `running`, and in the last
    snapshot `finished` or `diverged at round r` (then its models are not finite, or too large to evaluate). state: the
    algorithm's, a NamedTuple.
    """

    round: int
    phase: str
    models: Tensor
    measures: dict[str, Any] | None
    status: str
    state: Any


@dataclass(frozen=True)
class Setting:
    """A scenario with everything in place, checked; only its initialization may refuse yet, before it trains."""

    scenario: Scenario
    algorithm: Algorithm
    work: LocalWork
    channel: Channel
    meter: Meter

    @property
    def experiment(self) -> Experiment:
        return self.scenario.experiment

    @property
    def data(self) -> Dataset:
        return self.scenario.data

    def draw(self) -> Tensor:
        """(K, P) independent draws of the devices' parameters, the same at each call."""
        return self.scenario.draw(self.work.data.inputs.device)


@dataclass(frozen=True)
class Resumption:
    """Where a run goes on: the algorithm's state at the end of a round. The channel must be where it was then, too."""

    state: Any
    round: int


def simulate(experiment: Experiment, root: str | Path | None = None) -> Iterator[Snapshot]:
    """Run an experiment. Yields a Snapshot after initialization and after each phase of each round.

    root: folder of the data sets ($P2PL_DATA, or `resources/data`, if left out). Raises SpecError before any training
    if the experiment cannot run: at the first snapshot.
    """
    yield from unfold(prepare(experiment, root))


def unfold(setting: Setting, resumed: Resumption | None = None) -> Iterator[Snapshot]:
    """The rounds of a prepared experiment, see `simulate`; those after `resumed.round`, if that is given."""
    experiment, work, channel, algorithm = setting.experiment, setting.work, setting.channel, setting.algorithm
    if resumed is None:
        state, done = algorithm.start(first_parameters(setting), work), 0
        yield (snapshot := observe(setting, 0, "start", state))
        if snapshot.status != "running":
            return
    else:
        state, done = resumed.state, resumed.round
    for number in range(done + 1, experiment.rounds + 1):
        work.round, work.left = number, experiment.rounds - number
        channel.begin_round(number)
        channel.left = work.left
        for phase in algorithm.phases:
            state = algorithm.learn(state, work) if phase == "learn" else algorithm.cooperate(state, channel)
            yield (snapshot := observe(setting, number, phase, state))
            if snapshot.status != "running":
                return


def first_parameters(setting: Setting) -> Tensor:
    """(K, P) parameters after initialization, see `p2pl.scenario`."""
    return setting.scenario.start(setting.channel, setting.work.data.inputs.device)


def observe(setting: Setting, number: int, phase: str, state: Any) -> Snapshot:
    """A snapshot, measured if the round is due. Models that are not finite, or whose loss is not, have diverged."""
    experiment, channel, models = setting.experiment, setting.channel, setting.algorithm.models(state)
    ends = phase in ("start", setting.algorithm.phases[-1])
    due = experiment.evaluation.due(number, experiment.rounds, ends)
    last = number == experiment.rounds and ends
    if not math.isfinite(models.sum().item()):  # one pass; a sum that overflows has diverged, too
        return Snapshot(number, phase, models, None, f"diverged at round {number}", state)
    measures = setting.meter.measure(models) if due else None
    if measures is not None:
        if not all(np.isfinite(v) for v in measures.values() if isinstance(v, float)):
            return Snapshot(number, phase, models, None, f"diverged at round {number}", state)
        measures |= {"messages": channel.messages, "bytes_sent": channel.bytes_sent}
    return Snapshot(number, phase, models, measures, "finished" if last else "running", state)


def prepare(experiment: Experiment, root: str | Path | None = None, known: Dataset | None = None) -> Setting:
    """Build all that a run needs. Raises SpecError if anything in the spec cannot be had.

    known: its data set, where that has been loaded already; it is left as it is.
    """
    device = device_of(experiment)
    scenario = stage(experiment, root, known)
    known, shards, module, dtype = scenario.data, scenario.shards, scenario.module, scenario.dtype
    model = batched(module, experiment.loss, known.classes, device)
    held = tensors_of(experiment, scenario.network)
    data = known.x_train.size + 2 * known.x_test.size  # the latter also in the layout in which they are evaluated
    check_room(len(shards), model.parameters, held, data, dtype, device)
    inputs, targets = tensors(known.x_train, known.y_train, dtype, device)
    local = LocalData(inputs, targets, shards, experiment.training, experiment.seed, scenario.lr_factors())
    work = LocalWork(model, local, choose_learner(experiment, module, model, local), dtype)
    return Setting(
        scenario=scenario,
        algorithm=registry.algorithm.call(experiment.algorithm),
        work=work,
        channel=scenario.channel(work.learner.library),
        meter=make_meter(scenario, work),
    )


def make_meter(scenario: Scenario, work: LocalWork) -> Meter:
    """A meter on the test samples that the spec has evaluated."""
    known, chosen = scenario.data, scenario.evaluated()
    inputs, targets = tensors(known.x_test[chosen], known.y_test[chosen], scenario.dtype, work.data.inputs.device)
    own, optimum = scenario.own_classes(), scenario.optimum()
    return Meter(work.learner.outputs, inputs, targets, scenario.experiment.loss, own, optimum)
