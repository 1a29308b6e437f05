"""torch.func: the gradient of one device, mapped over stacked parameters; all K devices take a step together."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from p2pl.benchmark.job import Material


class Vmap:
    """Parameters as tensors (K, *shape); a mixing is a dense product with the (K, K) weights."""

    differs: ClassVar[str] = ""

    def __init__(self, material: Material) -> None:
        self.material, module = material, material.module()
        known = dict(module.named_parameters())
        parts = torch.split(material.draws, [p.numel() for p in known.values()], dim=1)
        shaped = zip(known.items(), parts, strict=True)
        self.x = {name: part.reshape(-1, *like.shape).clone() for (name, like), part in shaped}
        self.velocity = {name: torch.zeros_like(part) for name, part in self.x.items()}
        self.dense = torch.from_numpy(material.weights.toarray()).to(material.draws.dtype)

        def loss(parameters: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
            return F.cross_entropy(functional_call(module, parameters, (inputs,)), targets)

        self.gradients = vmap(grad(loss))

    def epoch(self) -> None:
        job, inputs, targets = self.material.job, self.material.inputs, self.material.targets
        schedules = [self.material.batches(device) for device in range(job.devices)]
        for batches in zip(*schedules, strict=True):
            rows = torch.stack(batches)
            for name, gradient in self.gradients(self.x, inputs[rows], targets[rows]).items():
                self.velocity[name].mul_(job.momentum).add_(gradient)
                self.x[name].add_(self.velocity[name], alpha=-job.lr)

    def mix(self) -> None:
        for name, part in self.x.items():
            self.x[name] = (self.dense @ part.flatten(1)).view_as(part)

    def parameters(self) -> Tensor:
        return torch.cat([part.flatten(1) for part in self.x.values()], dim=1)


PEERS = {"vmap": Vmap}
