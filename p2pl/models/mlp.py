"""Fully connected networks of any depth, in the standard and in the NTK parametrization."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pl.models.lazy import Lazy
from p2pl.registry import Count, NonNegative, Positive, model


@dataclass(frozen=True)
class Activation:
    """An activation a = value(z), its derivative slope(z, a), and the gain of the weights that follow it (see `MLP`).

    slope may use whichever of the pre-activation z and the value a is cheaper. `identity` returns z itself, not a copy.
    """

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor]
    gain: float = 1.0


def _gelu_slope(z: Tensor, a: Tensor) -> Tensor:
    density = torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + torch.erf(z / math.sqrt(2))) + z * density


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(torch.relu, lambda z, a: (z > 0).to(z.dtype), gain=math.sqrt(2)),
    "tanh": Activation(torch.tanh, lambda z, a: 1 - a * a),
    "erf": Activation(torch.erf, lambda z, a: 2 / math.sqrt(math.pi) * torch.exp(-z * z)),
    "gelu": Activation(F.gelu, _gelu_slope),
    "sigmoid": Activation(torch.sigmoid, lambda z, a: a * (1 - a)),
    "identity": Activation(lambda z: z, lambda z, a: torch.ones_like(z)),
}


class MLP(nn.Module):
    """widths[0] inputs, widths[-1] outputs, an activation between layers; inputs are flattened.

    Layer l computes z = (sw_l W_l) h + sb_l b_l with (sw_l, sb_l) = scales[l]: (1, 1) in the standard parametrization.
    In the NTK parametrization (Jacot et al., 2018) W_l and b_l are trained from N(0, 1), sw_l = gain / sqrt(fan_in)
    with the gain of the activation *before* layer l (sqrt(2) for relu, which keeps the variance from layer to layer; 1
    for the others and for the first layer, whose inputs are data), and sb_l = bias_scale.
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: str = "relu",
        parametrization: str = "standard",
        bias: bool = True,
        bias_scale: float = 0.1,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(fan_in, fan_out, bias=bias) for fan_in, fan_out in pairwise(widths))
        self.activation = activation
        self.scales: list[tuple[float, float]] = [(1.0, 1.0)] * len(self.layers)
        if parametrization == "ntk":
            gains = [1.0] + [ACTIVATIONS[activation].gain] * (len(self.layers) - 1)
            self.scales = [
                (gain / math.sqrt(fan_in), bias_scale) for gain, fan_in in zip(gains, widths[:-1], strict=True)
            ]
            for parameter in self.parameters():
                nn.init.normal_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, widths[-1])."""
        h = x.flatten(1)
        for index, (layer, (sw, sb)) in enumerate(zip(self.layers, self.scales, strict=True)):
            if index:
                h = ACTIVATIONS[self.activation].value(h)
            h = _affine(cast(nn.Linear, layer), h, sw, sb)
        return h


def _affine(layer: nn.Linear, h: Tensor, sw: float, sb: float) -> Tensor:
    if sw == sb == 1.0:
        out: Tensor = layer(h)
        return out
    bias = layer.bias * sb if layer.bias is not None else None
    return F.linear(h, layer.weight * sw, bias)


@model
def mlp(
    inputs: tuple[int, ...],
    outputs: int,
    hidden: list[Count] = (200,),  # type: ignore[assignment]
    depth: Count = 1,
    activation: Literal["relu", "tanh", "erf", "gelu", "sigmoid", "identity"] = "relu",
    parametrization: Literal["standard", "ntk"] = "standard",
    bias: bool = True,
    bias_scale: NonNegative = 0.1,
    alpha: Positive = 1.0,
) -> nn.Module:
    """A fully connected network with hidden layers of the given widths; by default 784-200-10 on MNIST.

    depth: how many times the list of widths is repeated: `hidden: [32], depth: 3` is 32, 32, 32.

    parametrization: `standard` is torch's nn.Linear with its default initialization; `ntk` is the one whose infinite
    width limit is the neural tangent kernel (see `MLP`), with biases multiplied by `bias_scale` (`ntk` only).

    alpha: scale of what is learned, f_0 + alpha (f - f_0), see `Lazy`; all devices must start at device 0's draw (as by
    `initialization: shared`), and the learning rate that does as much is 1 / alpha^2 as large.
    """
    widths = [math.prod(inputs), *list(hidden) * depth, outputs]
    perceptron = MLP(widths, activation, parametrization, bias, bias_scale)
    return perceptron if alpha == 1 else Lazy(perceptron, alpha)


@model
def two_nn(inputs: tuple[int, ...], outputs: int) -> MLP:
    """The 2NN of McMahan et al., AISTATS 2017: two hidden layers of 200 relu units; 199,210 parameters on MNIST."""
    return MLP([math.prod(inputs), 200, 200, outputs])


@model
def linear(inputs: tuple[int, ...], outputs: int, bias: bool = False) -> MLP:
    """A linear map of the flattened inputs: softmax regression, or least squares under `loss: mse`."""
    return MLP([math.prod(inputs), outputs], bias=bias)
