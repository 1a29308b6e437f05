"""gossipy (github.com/makgyver/gossipy), a simulator of gossip learning: `pip install gossipy-dfl`, or a clone of it.

Its devices are `TorchModelHandler`s, one torch module and one optimizer each, and so they are here. A round of its
`All2AllGossipSimulator` caches a deep copy of each sender's handler (`caching`), merges those received (`_merge`) and
trains (`_update`); the adapter calls these for all devices in turn. What it leaves out is the simulator's own work:
the event loop, messages, and a report per message.
"""

from __future__ import annotations

import contextlib
import io
import logging
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from p2pl.benchmark.job import Material

_handlers, _level = logging.root.handlers[:], logging.root.level
with contextlib.redirect_stdout(io.StringIO()):
    from gossipy import CACHE
    from gossipy.model import TorchModel
    from gossipy.model.handler import TorchModelHandler
logging.root.handlers[:] = _handlers  # gossipy sends everybody's log to stdout when it is imported
logging.root.setLevel(_level)


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
    """K handlers. The data of each device is a copy of its own, as gossipy's dispatcher makes it."""

    differs: ClassVar[str] = (
        "its own order of samples; merging gives equal weights to all that is heard (as the job's weights do on a"
        " regular graph; they cannot be set in this handler); the simulator's event loop is left out; evaluation is of"
        " each device's model, by its own scores, not of the average model"
    )

    def __init__(self, material: Material) -> None:
        job, self.weights, self.tests = material.job, material.weights, material.tests
        sgd = {"lr": job.lr, "momentum": job.momentum}
        self.handlers: list[Any] = []
        self.data: list[tuple[Tensor, Tensor]] = []
        for device, row in enumerate(material.draws):
            model = Net(material, row)
            handler = TorchModelHandler(
                model, torch.optim.SGD, sgd, F.cross_entropy, local_epochs=1, batch_size=job.batch, copy_model=False
            )
            self.handlers.append(handler)
            rows = material.shard(device)
            self.data.append((material.inputs[rows], material.targets[rows]))

    def epoch(self) -> None:
        for handler, data in zip(self.handlers, self.data, strict=True):
            handler._update(data)

    def mix(self) -> None:
        starts = self.weights.indptr
        heard = [self.weights.indices[starts[k] : starts[k + 1]] for k in range(len(self.handlers))]
        # One message a link: the first of a sender is a deep copy, the others refer to it.
        sent = [[self.handlers[j].caching(int(j)) for j in of if j != k] for k, of in enumerate(heard)]
        received = [[CACHE.pop(key) for key in keys] for keys in sent]
        for handler, others in zip(self.handlers, received, strict=True):
            handler._merge(others)

    def evaluate(self) -> list[Any]:
        return [handler.evaluate(self.tests) for handler in self.handlers]

    @torch.no_grad()
    def parameters(self) -> Tensor:
        return torch.stack([parameters_to_vector(handler.model.layers.parameters()) for handler in self.handlers])


PEERS = {"gossipy": Gossipy}
