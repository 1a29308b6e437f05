"""One model, many parameter vectors: forward passes and gradients for a block of devices at a time.

Parameters are rows of a (B, P) tensor, in the order of `module.parameters()`; inputs are (B, b, ...), one mini-batch
a device, or (1, b, ...), the same for all.

`AnyModule` works for every torch.nn.Module, one device after another by autograd. `BatchedMLP` has the derivative of
a multi-layer perceptron written out, for all devices of a block in one batched product; tests hold it to `AnyModule`.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from p2pl.losses import dense_targets, loss_function
from p2pl.models.mlp import ACTIVATIONS, MLP
from p2pl.registry import SpecError


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


def batched(module: nn.Module, loss: str, outputs: int) -> BatchedModel:
    """The fastest form there is for a module. Raises SpecError for one with running statistics (BatchNorm)."""
    kept = [name for name, buffer in module.named_buffers() if buffer.is_floating_point()]
    if kept:
        raise SpecError(
            f"the model keeps running statistics ({kept[0]}, ...) that are neither trained nor mixed: use GroupNorm"
            " in place of BatchNorm"
        )
    return BatchedMLP(module, loss, outputs) if isinstance(module, MLP) else AnyModule(module, loss, outputs)


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
                outputs.append(self.module(inputs[k if len(inputs) > 1 else 0]))
        return torch.stack(outputs)

    def gradient(self, x: Tensor, inputs: Tensor, targets: Tensor, out: Tensor, keep: float = 0.0) -> None:
        self.module.train()
        for k, row in enumerate(x):
            self._hold(row)
            loss = self.loss(self.module(inputs[k]), targets[k])
            parts = torch.autograd.grad(loss, self.weights)
            whole = torch.cat([part.reshape(-1) for part in parts])
            torch.add(whole, out[k], alpha=keep, out=out[k]) if keep else out[k].copy_(whole)


class BatchedMLP:
    """A multi-layer perceptron for B devices at once: layer l maps h to act(s W h + t b), (s, t) its two scales."""

    def __init__(self, module: MLP, loss: str, outputs: int) -> None:
        self.activation, self.scales = ACTIVATIONS[module.activation], module.scales
        self.loss, self.outputs = loss, outputs
        layers = [layer for layer in module.layers if isinstance(layer, nn.Linear)]
        self.shapes = [(layer.out_features, layer.in_features, layer.bias is not None) for layer in layers]
        self.parameters = sum(p.numel() for p in module.parameters())
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
        return self._passes(x, inputs)[1][-1]

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
