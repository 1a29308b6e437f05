"""The standard job: K devices with 600 images each, batches of 10, one local epoch with momentum, one mixing.

Job()                                    784-200-10, K = 100, a 10-regular graph, dense inputs
material = Material(Job(devices=10))     data, first parameters, orders of samples and weights: the same for all
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from p2pl import data, registry
from p2pl.data import Dataset
from p2pl.engine import prepare
from p2pl.experiment import Experiment
from p2pl.network import Network

INPUTS, OUTPUTS = 28 * 28, 10
Kind = Literal["dense", "normalized", "sparse"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ROUND = 1  # every epoch that is timed is that of the first round


@dataclass(frozen=True)
class Job:
    """What every peer is to do. Everything that is timed is one of these.

    inputs: MNIST images, `sparse` (as they are: most pixels 0), `normalized` (shifted and scaled to mean 0: most pixels
    one number), or `dense` (these with noise of a hundredth: no two pixels alike).
    samples: training images a device; the 4,000 of `mnist5k`, repeated. tests: test images, the 1,000 repeated.
    neighbours: the degree of the random regular graph, less where there are not so many devices; 2 is the ring.
    """

    devices: int = 100
    hidden: tuple[int, ...] = (200,)
    batch: int = 10
    samples: int = 600
    inputs: Kind = "dense"
    neighbours: int = 10
    tests: int = 10_000
    lr: float = 0.1
    momentum: float = 0.5

    @property
    def widths(self) -> tuple[int, ...]:
        return (INPUTS, *self.hidden, OUTPUTS)

    @property
    def parameters(self) -> int:
        """P, how many numbers one device holds."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(self.widths))

    @property
    def steps(self) -> int:
        """Device-steps of one epoch: mini-batches of all devices together."""
        return self.devices * -(-self.samples // self.batch)

    @property
    def flops(self) -> int:
        """Floating-point operations in the products of one device-step: 2 a weight and sample in each of three.

        Outputs, gradients of weights, and gradients of a layer's inputs, which the first layer does without. Not
        counted: biases, activations, the loss, the update (4 P). Zeros among the inputs count like other numbers.
        """
        weights = [fan_in * fan_out for fan_in, fan_out in pairwise(self.widths)]
        return 2 * self.batch * (3 * sum(weights) - weights[0])

    @property
    def degree(self) -> int:
        return min(self.neighbours, self.devices - 1)

    def experiment(self, engine: str = "torch") -> Experiment:
        """The job as a spec of one engine."""
        ring = self.neighbours == 2
        spec: dict[str, Any] = {
            "dataset": {"name": "mnist5k", "normalize": self.inputs != "sparse"},
            "devices": self.devices,
            "topology": "ring" if ring else {"name": "random_regular", "degree": self.degree},
            "model": {"name": "mlp", "hidden": list(self.hidden)},
            "training": {"batch_size": self.batch, "lr": self.lr, "momentum": self.momentum},
            "rounds": ROUND,
        }
        return Experiment.of(spec | {"engine": engine})


class Material:
    """A job with everything in place, which all its peers share.

    inputs (N, 784) and targets (N,): all training samples; tests: both of all test samples. draws (K, P): first
    parameters, in the order of a torch module's. weights (K, K): sparse mixing weights; row k is what device k gives to
    itself and to its neighbours.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.experiment = job.experiment()
        self.dataset = images(job)
        setting = prepare(self.experiment, known=self.dataset)
        self._local = setting.work.data
        self.inputs, self.targets = self._local.inputs.flatten(1), self._local.targets
        self.tests = torch.from_numpy(self.dataset.x_test).flatten(1), torch.from_numpy(self.dataset.y_test)
        self.draws: Tensor = setting.draw()

    def batches(self, device: int) -> Iterator[Tensor]:
        """Row numbers of a device's mini-batches, the same at each call: one epoch."""
        return (torch.from_numpy(rows) for rows in self._local.batches(device, ROUND))

    def shard(self, device: int) -> Tensor:
        """Row numbers of all samples of a device."""
        return torch.from_numpy(self._local.shards[device])

    @cached_property
    def weights(self) -> sp.csr_array:
        network = Network(self.experiment.topology, self.job.devices, self.experiment.seed)
        sizes = np.array([len(shard) for shard in self._local.shards])
        matrix: sp.csr_array = registry.mixing.call(self.experiment.mixing, graph=network.at(0), sizes=sizes)
        return sp.csr_array(matrix)

    def module(self) -> nn.Sequential:
        """The model as anybody would write it in torch, with parameters of its own."""
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(self.job.widths):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        return nn.Sequential(*layers[:-1])


def images(job: Job) -> Dataset:
    """MNIST images without a download, repeated as often as it takes."""
    return _images(job.inputs, job.devices * job.samples, job.tests)


@cache
def _known(inputs: Kind) -> Dataset:
    known = data.load({"name": "mnist5k", "normalize": inputs != "sparse"})
    if inputs == "dense":
        rng = np.random.default_rng(0)
        for images in (known.x_train, known.x_test):
            images += 0.01 * rng.standard_normal(images.shape, dtype=images.dtype)
    return known


def _images(inputs: Kind, train: int, test: int) -> Dataset:
    known = _known(inputs)
    first, second = (np.arange(count) % len(of) for count, of in ((train, known.y_train), (test, known.y_test)))
    return Dataset(
        name=known.name,
        source=known.source,
        checksum=known.checksum,
        x_train=known.x_train[first],
        y_train=known.y_train[first],
        x_test=known.x_test[second],
        y_test=known.y_test[second],
        classes=known.classes,
        labels=known.labels[first],
    )
