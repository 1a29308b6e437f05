"""One model, many parameter vectors: forward passes and gradients for a block of devices at a time.

Parameters are rows of a (B, P) tensor, in the order of `module.parameters()`; inputs are (B, b, ...), one mini-batch
a device, or (1, b, ...), the same for all.

`AnyModule` works for every torch.nn.Module, one device after another by autograd; `MappedModule` for all devices in one
program (torch.func), the faster form on an accelerator. `BatchedMLP` has the derivative of a multi-layer perceptron
written out, for all devices of a block in one batched product; `p2pl.convolutions` groups the convolutions of a block.
Tests hold them all to `AnyModule`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from p2pl.losses import dense_targets, loss_function
from p2pl.models.mlp import ACTIVATIONS, MLP

SAMPLES = 50  # that go through a network together where nothing is trained: convolutions of few stay in cache
SAMPLES_AT_ONCE = 1000  # the same on an accelerator, or of perceptrons: enough to fill it, few enough for its memory
LARGE = 8_000_000  # multiply-adds of a product from which on oneDNN's own layout is worth the way there and back


class BatchedModel(Protocol):
    """parameters: P, how many numbers one device holds. block: how many devices are best treated together."""

    parameters: int
    block: int

    def forward(self, x: Tensor, inputs: Tensor) -> Tensor:
        """(B, P) parameters, inputs as above -> (B, b, C) outputs."""
        ...

    def gradient(self, x: Tensor, inputs: Tensor, targets: Tensor, out: Tensor, keep: float = 0.0) -> None:
        """out <- keep out + the gradient of each device's mean loss, (B, P)."""
        ...


def by_batch(module: nn.Module) -> bool:
    """Whether what a module says of a sample depends on those that go through it together: by BatchNorm."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


def is_large(h: Tensor, outputs: int) -> bool:
    """Whether a product of (b, ...) with as many outputs is for oneDNN."""
    able = h.device.type == "cpu" and h.dtype == torch.float32 and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return able and h.numel() * outputs >= LARGE


class AnyModule:
    """Any torch.nn.Module, one device at a time."""

    block = 1

    def __init__(self, module: nn.Module, loss: str, outputs: int) -> None:
        self.module, self.loss = module, loss_function(loss, outputs)
        self.weights = [p for p in module.parameters() if p.requires_grad]
        self.parameters = sum(p.numel() for p in self.weights)

    def _hold(self, row: Tensor) -> None:
        """Make the module's parameters views of a row of x, unless they are (views keep its memory from reuse)."""
        if self.weights and self.weights[0].data_ptr() == row.data_ptr():
            return
        for weight, part in zip(self.weights, torch.split(row, [w.numel() for w in self.weights]), strict=True):
            weight.data = part.view_as(weight)

    def forward(self, x: Tensor, inputs: Tensor) -> Tensor:
        outputs = []
        self.module.eval()
        with torch.no_grad():
            for k, row in enumerate(x):
                self._hold(row)
                few = torch.split(inputs[k if len(inputs) > 1 else 0], SAMPLES)
                outputs.append(torch.cat([self.module(samples) for samples in few]))
        return torch.stack(outputs)

    def gradient(self, x: Tensor, inputs: Tensor, targets: Tensor, out: Tensor, keep: float = 0.0) -> None:
        self.module.train()
        for k, row in enumerate(x):
            self._hold(row)
            loss = self.loss(self.module(inputs[k]), targets[k])
            parts = torch.autograd.grad(loss, self.weights)
            whole = torch.cat([part.reshape(-1) for part in parts])
            torch.add(whole, out[k], alpha=keep, out=out[k]) if keep else out[k].copy_(whole)


class MappedModule:
    """Any torch.nn.Module that torch.func.vmap can map: all devices in one program. Random numbers differ by device."""

    block = 1

    def __init__(self, module: nn.Module, loss: str, outputs: int) -> None:
        self.module, criterion = module, loss_function(loss, outputs)
        self.together = SAMPLES if by_batch(module) else SAMPLES_AT_ONCE  # the batches of a CPU, and so its results
        held = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.shapes = {name: p.shape for name, p in held.items()}
        self.sizes = [p.numel() for p in held.values()]
        self.parameters = sum(self.sizes)

        def outputs_of(weights: dict[str, Tensor], inputs: Tensor) -> Tensor:
            said: Tensor = functional_call(module, weights, (inputs,))
            return said

        def loss_of(weights: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
            return criterion(outputs_of(weights, inputs), targets)

        self.own = vmap(outputs_of, randomness="different")
        self.shared = vmap(outputs_of, in_dims=(0, None), randomness="different")
        self.gradients = vmap(grad(loss_of), randomness="different")

    def _named(self, x: Tensor) -> dict[str, Tensor]:
        """Views of (B, P), one for each parameter: (B, *shape)."""
        parts = zip(self.shapes.items(), torch.split(x, self.sizes, dim=1), strict=True)
        return {name: part.view(len(x), *shape) for (name, shape), part in parts}

    def forward(self, x: Tensor, inputs: Tensor) -> Tensor:
        self.module.eval()
        with torch.no_grad():
            if len(inputs) > 1:
                return self.own(self._named(x), inputs)
            few = torch.split(inputs[0], self.together)
            return torch.cat([self.shared(self._named(x), samples) for samples in few], dim=1)

    def gradient(self, x: Tensor, inputs: Tensor, targets: Tensor, out: Tensor, keep: float = 0.0) -> None:
        self.module.train()
        found = self.gradients(self._named(x), inputs, targets)
        for name, part in self._named(out).items():
            torch.add(found[name], part, alpha=keep, out=part) if keep else part.copy_(found[name])


class BatchedMLP:
    """A multi-layer perceptron for B devices at once: layer l maps h to act(s W h + t b), (s, t) its two scales."""

    def __init__(self, module: MLP, loss: str, outputs: int) -> None:
        self.activation, self.scales = ACTIVATIONS[module.activation], module.scales
        self.loss, self.outputs = loss, outputs
        layers = [layer for layer in module.layers if isinstance(layer, nn.Linear)]
        self.shapes = [(layer.out_features, layer.in_features, layer.bias is not None) for layer in layers]
        self.parameters = sum(p.numel() for p in module.parameters())
        self.given: Tensor | None = None
        self.version = 0  # how often torch had changed them in place
        self.moved: list[Tensor] = []
        # Few enough for the cache, enough to share overheads.
        self.block = min(16, max(1, 1_000_000 // self.parameters))

    def _layers(self, x: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """Views of (B, P) as each layer's weights (B, out, in) and bias (B, 1, out)."""
        views, start = [], 0
        for out, width, has_bias in self.shapes:
            weight = x[:, start : start + out * width].view(len(x), out, width)
            start += out * width
            bias = x[:, start : start + out].unsqueeze(1) if has_bias else None
            start += out if has_bias else 0
            views.append((weight, bias))
        return views

    def _passes(self, x: Tensor, inputs: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Inputs of every layer, and pre-activations of every layer (the last are the outputs)."""
        held = [inputs.flatten(2).expand(len(x), -1, -1)]
        before: list[Tensor] = []
        for (weight, bias), (scale, bias_scale) in zip(self._layers(x), self.scales, strict=True):
            if before:
                held.append(self.activation.value(before[-1]))
            turned = weight.transpose(1, 2)
            if bias is None:
                before.append(torch.bmm(held[-1], turned) * scale)
            else:
                before.append(torch.baddbmm(bias, held[-1], turned, beta=bias_scale, alpha=scale))
        return held, before

    def forward(self, x: Tensor, inputs: Tensor) -> Tensor:
        if len(inputs) == 1 and is_large(inputs[0, :SAMPLES_AT_ONCE], self.shapes[0][0]):
            return torch.stack([self._of_one(self._layers(row[None]), self._moved(inputs[0])) for row in x])
        return self._passes(x, inputs)[1][-1]

    def _moved(self, inputs: Tensor) -> list[Tensor]:
        """(b, ...) inputs in oneDNN's layout, some at a time; kept for the next devices, and the next evaluation."""
        known = self.given is not None and self.given.is_set_to(inputs) and self.version == inputs._version
        if not known:
            self.given, self.version = inputs, inputs._version  # held, so that its memory is nobody else's
            self.moved = [some.to_mkldnn() for some in torch.split(inputs.flatten(1), SAMPLES_AT_ONCE)]
        return self.moved

    def _of_one(self, layers: list[tuple[Tensor, Tensor | None]], inputs: Sequence[Tensor]) -> Tensor:
        """All outputs of one device. Large products by oneDNN: on AMD twice as fast as by MKL."""
        scales = zip(layers, self.scales, strict=True)
        maps = [(weight[0] * s, None if bias is None else bias[0, 0] * t) for (weight, bias), (s, t) in scales]
        outputs = []
        for h in inputs:
            for layer, (weight, bias) in enumerate(maps):
                h = self.activation.value(h) if layer else h
                if layer and is_large(h, len(weight)):
                    h = h.to_mkldnn()
                if h.is_mkldnn:
                    h = F.linear(h, weight.to_mkldnn(), None if bias is None else bias.to_mkldnn()).to_dense()
                else:
                    h = F.linear(h, weight, bias)
            outputs.append(h)
        return torch.cat(outputs)

    def gradient(self, x: Tensor, inputs: Tensor, targets: Tensor, out: Tensor, keep: float = 0.0) -> None:
        held, before = self._passes(x, inputs)
        delta = self._loss_slope(before[-1], targets)
        weights, parts = self._layers(x), self._layers(out)
        for layer in reversed(range(len(weights))):
            scale, bias_scale = self.scales[layer]
            to_weight, to_bias = parts[layer]
            to_weight.baddbmm_(delta.transpose(1, 2), held[layer], beta=keep, alpha=scale)
            if to_bias is not None:
                slope = delta.sum(dim=1, keepdim=True).mul_(bias_scale)
                torch.add(slope, to_bias, alpha=keep, out=to_bias) if keep else to_bias.copy_(slope)
            if layer:
                delta = torch.bmm(delta, weights[layer][0]).mul_(scale)
                delta = delta.mul_(self.activation.slope(before[layer - 1], held[layer]))

    def _loss_slope(self, output: Tensor, targets: Tensor) -> Tensor:
        """Derivative of each device's mean loss by its outputs, (B, b, C)."""
        wanted = dense_targets(targets, self.outputs).to(output.dtype)
        if self.loss == "cross_entropy":
            return (output.softmax(dim=2) - wanted) / output.shape[1]
        return (output - wanted) * (2 / (output.shape[1] * output.shape[2]))
