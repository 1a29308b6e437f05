"""The linearized network, f(x, theta) = f(x, theta_ref) + J(x) (theta - theta_ref): products with J and its transpose.

Neither makes J; both are passes over the samples, forwards and backwards. All in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from theory.jacobian import named_parameters

SAMPLES = 1024  # that go through the network together


class Linearized:
    """A module about `reference` (P,), in the order of `module.parameters()`."""

    def __init__(self, module: nn.Module, reference: Tensor) -> None:
        self.module, self.reference = module, reference.double()
        _, self.fixed = named_parameters(module, self.reference)

    def _call(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        learned, _ = named_parameters(self.module, parameters)
        out: Tensor = functional_call(self.module, self.fixed | learned, (inputs,))
        return out

    def outputs(self, inputs: Tensor) -> Tensor:
        """(N, C) at the reference."""
        with torch.no_grad():
            return torch.cat([self._call(self.reference, part) for part in parts(inputs)])

    def push(self, direction: Tensor, inputs: Tensor) -> Tensor:
        """J direction, (N, C), for a direction (P,): the derivative by w of (J^T w) . direction, linear in w."""

        def through(part: Tensor) -> Tensor:
            out, back = pullback(partial(self._call, inputs=part), self.reference)
            along, again = pullback(lambda w: (back(w) * direction).sum(), torch.zeros_like(out))
            pushed: Tensor = again(torch.ones_like(along))
            return pushed.detach()

        return torch.cat([through(part) for part in parts(inputs)])

    def pull(self, weights: Tensor, inputs: Tensor) -> Tensor:
        """J^T weights, (B, P), for weights (B, N, C)."""
        total = torch.zeros(len(weights), len(self.reference), dtype=torch.float64)
        for part, some in zip(parts(inputs), parts(weights.transpose(0, 1)), strict=True):
            _, back = pullback(partial(self._call, inputs=part), self.reference)
            for one, row in zip(some.unbind(dim=1), total, strict=True):
                row += back(one).detach()
        return total


def pullback(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The function's value, and what multiplies from the left with its Jacobian there, and has a slope if that has.

    As `torch.func.vjp`, whose first call in a process imports torch's compiler, for three seconds; `grad` of more than
    one number imports half of it.
    """
    with torch.enable_grad():
        point = at.detach().requires_grad_()
        value = function(point)

    def back(weights: Tensor) -> Tensor:
        with torch.enable_grad():
            along = (value * weights).sum()
            (pulled,) = torch.autograd.grad(along, point, retain_graph=True, create_graph=weights.requires_grad)
        return pulled

    return value, back


def parts(samples: Tensor) -> Iterator[Tensor]:
    """(N, ...) in float64, SAMPLES at a time."""
    yield from (part.double() for part in torch.split(samples, SAMPLES))
