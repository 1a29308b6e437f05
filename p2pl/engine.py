"""The loop, owned once: an experiment unfolds into snapshots.

for snapshot in simulate(Experiment(dataset="digits", devices=8, rounds=20)):
    print(snapshot.round, snapshot.phase, snapshot.measures)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from p2pl import data, registry
from p2pl.accelerator import device_of
from p2pl.algorithm import Algorithm, check_needs
from p2pl.channel import Channel
from p2pl.data import Dataset
from p2pl.experiment import Experiment
from p2pl.learners import batched, choose_learner
from p2pl.memory import check_room, empty_like
from p2pl.metrics import Meter, least_squares_optimum
from p2pl.models.mlp import MLP
from p2pl.native.library import Library
from p2pl.network import Network
from p2pl.registry import SpecError
from p2pl.seeds import stream
from p2pl.training import LocalData, LocalWork
from p2pl.transmission import Transmission


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
    """An experiment with everything in place, checked; only its initialization may refuse yet, before it trains.

    draw: makes the (K, P) independent draws of the devices' parameters, the same at each call.
    """

    experiment: Experiment
    data: Dataset
    algorithm: Algorithm
    work: LocalWork
    channel: Channel
    meter: Meter
    draw: Callable[[], Tensor]


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
        work.round = number
        channel.begin_round(number)
        for phase in algorithm.phases:
            state = algorithm.learn(state, work) if phase == "learn" else algorithm.cooperate(state, channel)
            yield (snapshot := observe(setting, number, phase, state))
            if snapshot.status != "running":
                return


def first_parameters(setting: Setting) -> Tensor:
    """(K, P) parameters after initialization. Algorithms that use no graph start from the devices' own draws."""
    experiment = setting.experiment
    if not experiment.uses_graph:
        return setting.draw()
    rng = stream(experiment.seed, "leader")
    start: Tensor = registry.initialization.call(
        experiment.initialization, draws=setting.draw(), channel=setting.channel, rng=rng
    )
    return start


def observe(setting: Setting, number: int, phase: str, state: Any) -> Snapshot:
    """A snapshot, measured if the round is due. Models that are not finite, or whose loss is not, have diverged."""
    experiment, channel, models = setting.experiment, setting.channel, setting.algorithm.models(state)
    due = number % experiment.evaluation.every == 0 or number == experiment.rounds
    last = number == experiment.rounds and phase == (setting.algorithm.phases[-1] if number else "start")
    if not bool(torch.isfinite(models.sum())):  # one pass; a sum that overflows has diverged, too
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
    if known is None:
        known = data.load(experiment.dataset, None if root is None else Path(root))
    if experiment.samples is not None:
        known = data.take(known, experiment.samples, stream(experiment.seed, "data"))
    if len(known.x_train) < experiment.devices:
        raise SpecError(f"{len(known.x_train)} training samples cannot be shared among {experiment.devices} devices")
    network = Network(experiment.topology, experiment.devices, experiment.seed)
    check_needs(experiment, network)
    pooled = registry.algorithm.entry(experiment.algorithm.name).traits.get("pooled", False)
    shards = [np.arange(len(known.x_train))] if pooled else shares(experiment, known)
    dtype = getattr(torch, experiment.dtype)

    module = draw_module(experiment, known, 0).to(dtype)
    model = batched(module, experiment.loss, known.classes, device)
    check_room(len(shards), model.parameters, known.x_train.size + known.x_test.size, dtype, device)
    inputs, targets = tensors(known.x_train, known.y_train, dtype, device)
    local = LocalData(inputs, targets, shards, experiment.training, experiment.seed)
    work = LocalWork(model, local, choose_learner(experiment, module, model, local), dtype)
    return Setting(
        experiment=experiment,
        data=known,
        algorithm=registry.algorithm.call(experiment.algorithm),
        work=work,
        channel=make_channel(experiment, network, np.array([len(s) for s in shards]), work.learner.library),
        meter=make_meter(experiment, known, shards, module, work),
        draw=partial(draw_models, experiment, known, len(shards), dtype, device),
    )


def shares(experiment: Experiment, known: Dataset) -> list[np.ndarray]:
    """Row numbers of each device's training samples."""
    count = len(known.x_train)
    first, second = (stream(experiment.seed, "partition", number) for number in (0, 1))
    sizes = registry.sizes.call(experiment.sizes, samples=count, devices=experiment.devices, rng=first)
    parts: list[np.ndarray] = registry.partition.call(
        experiment.partition, labels=known.labels, sizes=sizes, rng=second
    )
    return parts


def draw_module(experiment: Experiment, known: Dataset, device: int) -> nn.Module:
    """A module of the spec's model with a device's own draw of the parameters, from a stream of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(stream(experiment.seed, "init", device).integers(2**63)))
        module: nn.Module = registry.model.call(experiment.model, inputs=known.x_train.shape[1:], outputs=known.classes)
    return module


def draw_models(
    experiment: Experiment, known: Dataset, devices: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """(K, P) independent draws of the parameters, made on the CPU and sent one by one."""
    modules = (draw_module(experiment, known, number) for number in range(devices))
    rows = (torch.cat([p.detach().reshape(-1) for p in m.parameters() if p.requires_grad]).to(dtype) for m in modules)
    first = next(rows).to(device)
    draws = empty_like(first.expand(devices, -1))
    for number, row in enumerate(chain([first], rows)):
        draws[number].copy_(row)
    return draws


def tensors(inputs: np.ndarray, targets: np.ndarray, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Inputs, and targets if they are real numbers, as dtype; class numbers as int64."""
    given = torch.from_numpy(np.ascontiguousarray(inputs)).to(device, dtype)
    wanted = torch.from_numpy(np.ascontiguousarray(targets)).to(device)
    return given, wanted.to(dtype) if targets.ndim > 1 else wanted


def make_channel(experiment: Experiment, network: Network, sizes: np.ndarray, library: Library | None) -> Channel:
    """The channel over the experiment's graph; for an algorithm without one, a channel that only counts."""
    if not experiment.uses_graph:
        return Channel(None)
    return Channel(Transmission(network, experiment.mixing, sizes, experiment.failures, experiment.seed), library)


def make_meter(
    experiment: Experiment, known: Dataset, shards: list[np.ndarray], module: nn.Module, work: LocalWork
) -> Meter:
    """A meter on the first `evaluation.samples` test samples of a fixed random order, or on all of them."""
    chosen = np.arange(len(known.x_test))
    if experiment.evaluation.samples is not None:
        if experiment.evaluation.samples > len(chosen):
            raise SpecError(f"evaluation.samples: the test set has only {len(chosen)} samples")
        chosen = np.sort(np.random.default_rng(0).permutation(chosen)[: experiment.evaluation.samples])
    like = work.data.inputs
    inputs, targets = tensors(known.x_test[chosen], known.y_test[chosen], like.dtype, like.device)
    own, optimum = None, None
    if known.regression:
        if isinstance(module, MLP) and module.scales == [(1, 1)]:
            bias = module.layers[0].bias is not None
            optimum = torch.from_numpy(least_squares_optimum(known.x_train, known.y_train, shards, bias))
    else:
        own = torch.stack([torch.from_numpy(np.isin(np.arange(known.classes), known.y_train[s])) for s in shards])
    return Meter(work.learner.outputs, inputs, targets, experiment.loss, own, optimum)
