"""Which layers of a module can be unfolded, and what they see: see `theory.unfolded`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import cast

import torch
from torch import Size, Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

Affine = nn.Conv2d | nn.Linear
Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]

SUMS = 64  # multiply-adds of a matrix product in the time of one sum in memory, see docs/performance.md


@dataclass(frozen=True)
class Layer:
    """A layer that a module of so many outputs calls once. shape: (1, ...), of what it returns for one sample."""

    module: Affine
    shape: Size
    outputs: int

    @property
    def groups(self) -> int:
        return self.module.groups if isinstance(self.module, nn.Conv2d) else 1

    @property
    def channels(self) -> int:
        """K: of a group."""
        return len(self.module.weight) // self.groups

    @property
    def fan_in(self) -> int:
        """F: with the bias, if there is one."""
        return self.module.weight[0].numel() + (self.module.bias is not None)

    @property
    def positions(self) -> int:
        return self.shape.numel() // len(self.module.weight)

    @property
    def by_positions(self) -> bool:
        pairs = self.outputs**2
        needed = self.positions**2 * (self.fan_in + pairs * (self.channels + SUMS))
        return needed < pairs * self.channels * self.fan_in

    @property
    def held(self) -> int:
        """Numbers that are kept of one sample."""
        if self.by_positions:
            return self.patches + self.outputs * self.shape.numel()
        return self.outputs * self.groups * self.channels * self.fan_in

    @property
    def patches(self) -> int:
        """Numbers of one sample's u."""
        return self.groups * self.positions * self.fan_in

    def unfold(self, inputs: Tensor, slopes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """u (n, F, P) and d (n, C, K, P) of each group, of inputs (n, 1, ...) and slopes (n, C, 1, ...)."""
        layer = self.module
        if isinstance(layer, nn.Linear):
            u, d = inputs.flatten(1, -2).transpose(1, 2), slopes.flatten(2, -2).transpose(2, 3)
        else:
            mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
            padded = F.pad(inputs.squeeze(1), layer._reversed_padding_repeated_twice, mode)
            u = F.unfold(padded, two(layer.kernel_size), two(layer.dilation), stride=two(layer.stride))
            d = slopes.squeeze(2).flatten(3)
        ones = (0, 0, 0, int(layer.bias is not None))
        us = [F.pad(part, ones, value=1.0) for part in u.chunk(self.groups, dim=1)]
        return list(zip(us, d.chunk(self.groups, dim=2), strict=True))


def two(sizes: tuple[int, ...]) -> tuple[int, int]:
    return cast(tuple[int, int], sizes)


def own(path: str, layer: nn.Module) -> list[str]:
    """Names of a layer's parameters, in a module that has it at this path."""
    names = ["weight"] if layer.bias is None else ["weight", "bias"]
    return [f"{path}.{name}" if path else name for name in names]


def unfoldable(
    module: nn.Module, learned: dict[str, Tensor], fixed: dict[str, Tensor], sample: Tensor
) -> tuple[int, dict[str, Layer]]:
    """The number of outputs, and the layers, by path, whose parameters act on them by one call of the layer alone.

    sample: (1, ...). The module is called once, with all layers cut off from their parameters: those that reach the
    outputs all the same do so in another way.
    """
    tried = {
        path: cast(Affine, layer)
        for path, layer in module.named_modules()
        if type(layer) in (nn.Conv2d, nn.Linear) and learned.keys() >= set(own(path, layer))
    }
    calls: Counter[str] = Counter()
    shapes: dict[str, Size] = {}

    def cut(path: str) -> Hook:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> Tensor:
            calls[path] += len(inputs)  # none where they are named: such a layer is left alone
            shapes[path] = out.shape
            return without_slopes(cast(Affine, layer), *inputs) if inputs else out

        return hook

    leaves = {name: value.detach().requires_grad_() for name, value in learned.items()}
    names = [name for path, layer in tried.items() for name in own(path, layer)]
    with torch.enable_grad():
        out = call_with(module, tried, cut, fixed | leaves, sample)
        whole = out.sum() + torch.zeros((), requires_grad=True)  # a number that has a slope, whatever has been cut
    slopes = torch.autograd.grad(whole, [leaves[name] for name in names], allow_unused=True) if names else ()
    elsewhere = {name for name, slope in zip(names, slopes, strict=True) if slope is not None}
    return out.shape[-1], {
        path: Layer(layer, shapes[path], out.shape[-1])
        for path, layer in tried.items()
        if calls[path] == 1 and of_one_sample(layer, shapes[path]) and not elsewhere & set(own(path, layer))
    }


def of_one_sample(layer: Affine, shape: Size) -> bool:
    return len(shape) > 1 if isinstance(layer, nn.Linear) else len(shape) == 4 and shape[0] == 1


def without_slopes(layer: Affine, inputs: Tensor) -> Tensor:
    """What a layer returns, of which no slope in its parameters can be taken."""
    weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
    return F.linear(inputs, weight, bias) if isinstance(layer, nn.Linear) else layer._conv_forward(inputs, weight, bias)


def call_with(
    module: nn.Module,
    layers: Mapping[str, Affine],
    hook: Callable[[str], Hook],
    parameters: dict[str, Tensor],
    sample: Tensor,
) -> Tensor:
    """A module's outputs for (1, ...), each layer's own replaced by what a hook, made for its path, returns."""
    with ExitStack() as hooks:
        for path, layer in layers.items():
            hooks.enter_context(layer.register_forward_hook(hook(path), prepend=True))
        out: Tensor = functional_call(module, parameters, (sample,))
    return out
