"""The tangent kernel of any module: its Jacobian, taken by torch.func for each sample alone, times another."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

JACOBIANS = 3  # in memory while one is made


class AnyModule:
    """Features are Jacobians, (n, C, P); see `theory.kernel.Form`."""

    symmetric = False

    def __init__(self, module: nn.Module, parameters: Tensor, sample: Tensor) -> None:
        self.module = module
        self.learned, self.fixed = named_parameters(module, parameters)
        self.outputs = int(self._call(self.learned, sample[0]).shape[-1])
        self.held = JACOBIANS * self.outputs * len(parameters)

    def floats(self, rows: int, columns: int, averaged: bool) -> int:
        return (rows + columns) * self.held + rows * columns * (1 if averaged else self.outputs**2)

    def _call(self, learned: dict[str, Tensor], sample: Tensor) -> Tensor:
        out: Tensor = functional_call(self.module, self.fixed | learned, (sample.unsqueeze(0),))[0]
        return out

    def features(self, inputs: Tensor) -> Tensor:
        jacobian = vmap(jacrev(self._call), in_dims=(None, 0))(self.learned, inputs)
        return torch.cat([part.detach().flatten(2) for part in jacobian.values()], dim=2)

    def fill(self, into: Tensor, left: Tensor, right: Tensor) -> None:
        into.copy_(self.block(left, right))

    def block(self, left: Tensor, right: Tensor) -> Tensor:
        return full_product(left, right)

    def averaged_block(self, left: Tensor, right: Tensor) -> Tensor:
        return averaged_product(left, right)


def full_product(left: Tensor, right: Tensor) -> Tensor:
    """Of slopes (n, C, P) and (m, C, P): (n, C, m, C)."""
    return (left.flatten(0, 1) @ right.flatten(0, 1).T).view(*left.shape[:2], *right.shape[:2])


def averaged_product(left: Tensor, right: Tensor) -> Tensor:
    """Its trace over outputs / C: (n, m)."""
    return left.flatten(1) @ right.flatten(1).T / left.shape[1]


def named_parameters(module: nn.Module, parameters: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """By name: `parameters` (P,) as the module's learned ones, and all else that a call of it needs, of their type."""
    learned = {name: p for name, p in module.named_parameters() if p.requires_grad}
    parts = torch.split(parameters, [p.numel() for p in learned.values()])
    rest = {name: value for name, value in [*module.named_parameters(), *module.named_buffers()] if name not in learned}
    return (
        {name: part.view_as(learned[name]) for name, part in zip(learned, parts, strict=True)},
        {name: v.detach().to(parameters.dtype) if v.is_floating_point() else v for name, v in rest.items()},
    )
