"""gossipy (github.com/makgyver/gossipy), a simulator of gossip learning: a clone of it in PYTHONPATH, and `dill`.

Its devices are nodes with a `WeightedTMH` each, one torch module and one optimizer, and so they are here. A round is
run as its users run it, by an `All2AllGossipSimulator`: each node merges what it was sent in the last round, with the
job's weights, learns, and sends a deep copy of itself to each neighbour. Learning, mixing and evaluation alone are the
calls that the simulator makes for them, without its own work: clock, messages, queues.
"""

from __future__ import annotations

import contextlib
import io
import logging
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from p2pl.benchmark.job import Material

_handlers, _level = logging.root.handlers[:], logging.root.level
with contextlib.redirect_stdout(io.StringIO()):
    from gossipy import CACHE, LOG
    from gossipy.core import AntiEntropyProtocol, StaticP2PNetwork
    from gossipy.model import TorchModel
    from gossipy.model.handler import WeightedTMH
    from gossipy.node import All2AllGossipNode
    from gossipy.simul import All2AllGossipSimulator
logging.root.handlers[:] = _handlers  # gossipy sends everybody's log to stdout when it is imported
logging.root.setLevel(_level)
LOG.setLevel(logging.WARNING)


class Net(TorchModel):  # type: ignore[misc]
    """The job's model, as gossipy wants it."""

    def __init__(self, material: Material, row: Tensor) -> None:
        super().__init__()
        self.layers = material.module()
        vector_to_parameters(row.clone(), self.layers.parameters())

    def init_weights(self) -> None:
        """The first parameters are given."""

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)  # type: ignore[no-any-return]


class Gossipy:
    """K nodes. The data of each device is a copy of its own, as gossipy's dispatcher makes it."""

    differs: ClassVar[str] = (
        "its own order of samples; weights go to neighbours in the order in which they are heard (the job's are equal);"
        " its rounds mix before they learn; evaluation is of each device's model, by its own scores, not of the average"
    )

    def __init__(self, material: Material) -> None:
        job, self.tests = material.job, material.tests
        apart = material.weights.toarray() * (1 - np.eye(job.devices))
        self.heard = [np.flatnonzero(row) for row in apart]
        self.weights = [np.append(1 - row.sum(), row[row > 0]) for row in apart]  # of itself, then of its neighbours
        network = StaticP2PNetwork(job.devices, topology=(apart > 0).astype(int))
        sgd = {"lr": job.lr, "momentum": job.momentum}
        self.nodes: dict[int, Any] = {}
        for device, row in enumerate(material.draws):
            handler = WeightedTMH(
                Net(material, row),
                torch.optim.SGD,
                sgd,
                F.cross_entropy,
                local_epochs=1,
                batch_size=job.batch,
                copy_model=False,
            )
            rows = material.shard(device)
            data = (material.inputs[rows], material.targets[rows]), None
            self.nodes[device] = All2AllGossipNode(device, data, 1, handler, network)  # 1: a tick a round
        unseen = SimpleNamespace(has_test=lambda: False)  # no test data: evaluation is timed apart
        self.simulator = All2AllGossipSimulator(self.nodes, unseen, delta=1, protocol=AntiEntropyProtocol.PUSH)
        self.simulator.initialized = True  # all but the first epoch, which init_nodes would have them do

    def round(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # its progress bar
            self.simulator.start(self.weights, n_rounds=1)

    def epoch(self) -> None:
        for node in self.nodes.values():
            node.model_handler._update(node.data[0])

    def mix(self) -> None:
        sent = [[self.nodes[int(j)].model_handler.caching(int(j)) for j in heard] for heard in self.heard]
        received = [[CACHE.pop(key) for key in keys] for keys in sent]
        for node, others, weights in zip(self.nodes.values(), received, self.weights, strict=True):
            node.model_handler._merge(others, weights)

    def evaluate(self) -> list[Any]:
        return [node.model_handler.evaluate(self.tests) for node in self.nodes.values()]

    @torch.no_grad()
    def parameters(self) -> Tensor:
        modules = (node.model_handler.model.layers for node in self.nodes.values())
        return torch.stack([parameters_to_vector(module.parameters()) for module in modules])


PEERS = {"gossipy": Gossipy}
