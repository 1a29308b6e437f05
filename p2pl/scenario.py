"""What there is before anybody learns: data, who holds them, the graph, the first parameters.

The engine and the theory both begin here, with the same draws of the same streams; nothing here learns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from p2pl import data, registry
from p2pl.algorithm import check_needs
from p2pl.channel import Channel
from p2pl.compression import Compression
from p2pl.data import Dataset
from p2pl.experiment import Experiment
from p2pl.memory import empty_like
from p2pl.metrics import least_squares_optimum
from p2pl.models.lazy import Lazy
from p2pl.models.mlp import MLP
from p2pl.native.library import Library
from p2pl.network import Network
from p2pl.registry import SpecError
from p2pl.seeds import stream
from p2pl.transmission import Transmission

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Scenario:
    """An experiment's parts, checked.

    data: with the spec's subset of the training rows. shards: row numbers of each device's training samples. module:
    the model with the first device's own draw of the parameters.
    """

    experiment: Experiment
    data: Dataset
    network: Network
    shards: list[np.ndarray]
    module: nn.Module

    @property
    def dtype(self) -> torch.dtype:
        """Of parameters and inputs."""
        dtype: torch.dtype = getattr(torch, self.experiment.dtype)
        return dtype

    def draw(self, where: torch.device = CPU) -> Tensor:
        """(K, P) independent draws of the devices' parameters, the same at each call, made on the CPU."""
        modules = (draw_module(self.experiment, self.data, device) for device in range(len(self.shards)))
        rows = (parameters_of(module).to(self.dtype) for module in modules)
        first = next(rows).to(where)
        draws = empty_like(first.expand(len(self.shards), -1))
        for device, row in enumerate(chain([first], rows)):
            draws[device].copy_(row)
        return draws

    def channel(self, library: Library | None = None) -> Channel:
        """The channel over the graph; for an algorithm without one, a channel that only counts."""
        experiment, sizes = self.experiment, np.array([len(shard) for shard in self.shards])
        if not experiment.uses_graph:
            return Channel(None)
        transmission = Transmission(self.network, experiment.mixing, sizes, experiment.failures, experiment.seed)
        layers = [p.numel() for p in self.module.parameters() if p.requires_grad]
        return Channel(transmission, library, Compression(experiment.compression, layers, experiment.seed, library))

    def lr_factors(self) -> list[float]:
        """(rounds + 1,) by which the learning rate is multiplied in each round: the schedule's, after the warm-up."""
        experiment = self.experiment
        rounds, warmup = experiment.rounds, experiment.training.warmup
        climb = (min(1.0, number / warmup) if warmup else 1.0 for number in range(1, rounds + 1))
        falls = (registry.schedule.call(experiment.schedule, done=done / rounds) for done in range(rounds))
        factors = [up * down for up, down in zip(climb, falls, strict=True)]
        return [factors[0] if factors else 1.0, *factors]

    def beside(self, experiment: Experiment) -> Scenario:
        """The same data and shares for another experiment, which differs in its graph, mixing rule or failures only.

        And the same network, if it has the same topology.
        """
        same = experiment.topology == self.experiment.topology
        network = self.network if same else Network(experiment.topology, experiment.devices, experiment.seed)
        check_needs(experiment, network)
        return replace(self, experiment=experiment, network=network)

    def start(self, channel: Channel, where: torch.device = CPU, draws: Tensor | None = None) -> Tensor:
        """(K, P) parameters after initialization. Algorithms that use no graph start from the devices' own draws.

        draws: these, where they are at hand; they are left as they are. Raises SpecError for a lazy model that starts
        anywhere but where it is measured from.
        """
        seed = self.experiment.seed
        start = self.draw(where) if draws is None else draws
        if self.experiment.uses_graph:
            start = registry.initialization.call(
                self.experiment.initialization, draws=start, channel=channel, rng=stream(seed, "leader")
            )
        if isinstance(self.module, Lazy):
            origin = torch.cat([p.reshape(-1) for p in self.module.frozen.parameters()])
            if not torch.equal(start, origin.expand_as(start)):
                raise SpecError(
                    f"model '{self.experiment.model.name}' with alpha {self.module.alpha:g} begins at device 0's draw,"
                    " so all devices must start there: set initialization: shared, and an algorithm with a graph"
                )
        return start

    def evaluated(self) -> np.ndarray:
        """Rows of the test set: the first `evaluation.samples` of a fixed random order, in theirs, or all.

        Raises SpecError if there are fewer.
        """
        rows, samples = np.arange(len(self.data.x_test)), self.experiment.evaluation.samples
        if samples is None:
            return rows
        if samples > len(rows):
            raise SpecError(f"evaluation.samples: the test set has only {len(rows)} samples")
        return np.sort(np.random.default_rng(0).permutation(rows)[:samples])

    def own_classes(self) -> Tensor | None:
        """(K, C) whether each device has samples of a class; None for regression."""
        known = self.data
        if known.regression:
            return None
        return torch.stack([torch.from_numpy(np.isin(np.arange(known.classes), known.y_train[s])) for s in self.shards])

    def optimum(self) -> Tensor | None:
        """(P,) minimizer of the average of the devices' losses: of a linear regression; None where it is not known."""
        if not (self.data.regression and isinstance(self.module, MLP) and self.module.scales == [(1, 1)]):
            return None
        bias = self.module.layers[0].bias is not None
        return torch.from_numpy(least_squares_optimum(self.data.x_train, self.data.y_train, self.shards, bias))

    @property
    def moments(self) -> int:
        """How many times the run is evaluated."""
        return self.experiment.evaluation.moments(self.experiment.rounds)


def stage(experiment: Experiment, root: str | Path | None = None, known: Dataset | None = None) -> Scenario:
    """Load, draw and share out. Raises SpecError if anything in the spec cannot be had.

    known: the data set, where that has been loaded already; it is left as it is.
    """
    if known is None:
        known = data.load(experiment.dataset, None if root is None else Path(root))
    validate = experiment.evaluation.split == "validation"
    if experiment.samples is not None or validate:
        samples = experiment.samples or len(known.x_train)
        known = data.take(known, samples, stream(experiment.seed, "data"), validate)
    if len(known.x_train) < experiment.devices:
        raise SpecError(f"{len(known.x_train)} training samples cannot be shared among {experiment.devices} devices")
    if experiment.training.augment != "none" and known.x_train.ndim != 4:
        raise SpecError(
            f"training.augment: {experiment.training.augment} takes images (channels, height, width), and the inputs of"
            f" '{known.name}' are {known.x_train.shape[1:]}: leave it out"
        )
    network = Network(experiment.topology, experiment.devices, experiment.seed)
    check_needs(experiment, network)
    pooled = registry.algorithm.entry(experiment.algorithm.name).traits.get("pooled", False)
    shards = [np.arange(len(known.x_train))] if pooled else shares(experiment, known)
    scenario = Scenario(experiment, known, network, shards, draw_module(experiment, known, 0))
    scenario.module.to(scenario.dtype)
    return scenario


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


def parameters_of(module: nn.Module) -> Tensor:
    """(P,) what a module learns, in the order of `module.parameters()`."""
    return torch.cat([p.detach().reshape(-1) for p in module.parameters() if p.requires_grad])


def tensors(
    inputs: np.ndarray, targets: np.ndarray, dtype: torch.dtype, where: torch.device = CPU
) -> tuple[Tensor, Tensor]:
    """Inputs, and targets if they are real numbers, as dtype; class numbers as int64."""
    given = torch.from_numpy(np.ascontiguousarray(inputs)).to(where, dtype)
    wanted = torch.from_numpy(np.ascontiguousarray(targets)).to(where)
    return given, wanted.to(dtype) if targets.ndim > 1 else wanted
