"""The yardstick: a torch module and a torch.optim.SGD for each device, one device after another."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from p2pl.benchmark.job import Material


class PlainLoop:
    """K modules, K optimizers; a mixing sums the neighbours' parameters tensor by tensor."""

    differs: ClassVar[str] = ""

    def __init__(self, material: Material) -> None:
        self.material, job = material, material.job
        self.modules = [material.module() for _ in range(job.devices)]
        for module, row in zip(self.modules, material.draws, strict=True):
            vector_to_parameters(row.clone(), module.parameters())
        self.optimizers = [torch.optim.SGD(m.parameters(), lr=job.lr, momentum=job.momentum) for m in self.modules]

    def epoch(self) -> None:
        inputs, targets = self.material.inputs, self.material.targets
        for device, (module, optimizer) in enumerate(zip(self.modules, self.optimizers, strict=True)):
            for rows in self.material.batches(device):
                optimizer.zero_grad()
                loss = F.cross_entropy(module(inputs[rows]), targets[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()

    @torch.no_grad()
    def mix(self) -> None:
        weights = self.material.weights
        held = [[p.clone() for p in module.parameters()] for module in self.modules]
        for device, module in enumerate(self.modules):
            for number, parameter in enumerate(module.parameters()):
                parameter.zero_()
                for at in range(weights.indptr[device], weights.indptr[device + 1]):
                    parameter.add_(held[weights.indices[at]][number], alpha=float(weights.data[at]))

    @torch.no_grad()
    def evaluate(self) -> list[tuple[float, float]]:
        """Loss and accuracy of all models, the average last."""
        average = self.material.module()
        vector_to_parameters(self.parameters().mean(dim=0), average.parameters())
        inputs, targets = self.material.tests
        found = []
        for module in [*self.modules, average]:
            outputs = module(inputs)
            hits = outputs.argmax(dim=1) == targets
            found.append((F.cross_entropy(outputs, targets).item(), hits.double().mean().item()))
        return found

    @torch.no_grad()
    def parameters(self) -> Tensor:
        return torch.stack([parameters_to_vector(module.parameters()) for module in self.modules])


PEERS = {"plain_loop": PlainLoop}
