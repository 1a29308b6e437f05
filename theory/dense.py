"""The tangent kernel of a multi-layer perceptron without its Jacobian.

    z_l = s_l W_l h_l + t_l b_l,   h_l = act(z_{l-1}),   h_0 = x,   f = z_L

    Theta[(n, c), (m, e)] = sum_l (s_l^2 h_l(n) . h_l(m) + t_l^2)  (d_l(n, c) . d_l(m, e)),    d_l(n, c) = d f_c / d z_l

The slopes d_l run backwards as gradients do: d_{l-1} = (s_l W_l^T d_l) o act'(z_{l-1}). Of the last layer d is the
identity; of the one before it d(n, c) = v_c o act'(z(n)) with v_c row c of s_L W_L, so that d(n, c) . d(m, e) is
symmetric in c and e, and N x width numbers do in place of N x C x width (`theory.gates`). Cost: O(N M C^2 width) for
each hidden layer.
"""

from __future__ import annotations

from typing import NamedTuple, cast

from torch import Tensor, nn

from p2pl.models.mlp import ACTIVATIONS, MLP
from theory.gates import held, sums_of_pairs
from theory.products import times_transposed


class Slopes(NamedTuple):
    """Of n samples. held: input h_l (n, w) of each layer. slopes: d_l (C, n, w) of all layers but the last two.

    gate: act'(z) (n, w) of the last hidden layer; None where there is none.
    """

    held: list[Tensor]
    slopes: list[Tensor]
    gate: Tensor | None


class Perceptron:
    """The kernel of an `MLP` at parameters (P,); see `theory.kernel.Form`."""

    def __init__(self, module: MLP, parameters: Tensor) -> None:
        layers = [cast(nn.Linear, layer) for layer in module.layers]
        self.activation = ACTIVATIONS[module.activation]
        self.weights, self.biases, start = [], [], 0
        for layer, (scale, bias_scale) in zip(layers, module.scales, strict=True):
            size = layer.weight.numel()
            self.weights.append(parameters[start : start + size].view_as(layer.weight) * scale)
            start += size
            bias = 0 if layer.bias is None else len(layer.bias)
            self.biases.append(parameters[start : start + bias] * bias_scale)
            start += bias
        # s^2 and t^2 of each layer; what has no bias has no t.
        self.scales = [
            (scale**2, 0.0 if layer.bias is None else bias_scale**2)
            for layer, (scale, bias_scale) in zip(layers, module.scales, strict=True)
        ]
        self.outputs = layers[-1].out_features
        self.symmetric = len(layers) <= 2
        widths = [layer.in_features for layer in layers]
        self.held = 3 * sum(widths) + 2 * self.outputs * sum(widths[1:-1]) + (self.outputs + 1) * widths[-1]

    def floats(self, rows: int, columns: int, averaged: bool) -> int:
        if averaged:
            return (rows + columns) * self.held + 3 * rows * columns
        pairs = held(rows, self.outputs, self.weights[-1].shape[1]) if len(self.weights) > 1 else 0
        return (rows + columns) * self.held + 3 * rows * columns * self.outputs**2 + pairs

    def features(self, inputs: Tensor) -> Slopes:
        h, held, gates = inputs.flatten(1), [], []
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            held.append(h)
            z = h @ weight.T
            z = z + bias if len(bias) else z
            h = self.activation.value(z)
            gates.append(self.activation.slope(z, h))
        held.append(h)
        if not gates:
            return Slopes(held, [], None)
        slopes: list[Tensor] = []
        if len(gates) > 1:
            delta = self.weights[-1][:, None, :] * gates[-1]
            for weight, gate in zip(self.weights[-2:0:-1], gates[-2::-1], strict=True):
                delta = (delta @ weight) * gate
                slopes.insert(0, delta)
        return Slopes(held, slopes, gates[-1])

    def _inner(self, left: Slopes, right: Slopes, layer: int) -> Tensor:
        """s^2 h . h' + t^2 of one layer, (n, m)."""
        square, bias_square = self.scales[layer]
        return times_transposed(left.held[layer], right.held[layer]) * square + bias_square

    def fill(self, into: Tensor, left: Slopes, right: Slopes) -> None:
        n, c, m, _ = into.shape
        if left.gate is not None and right.gate is not None:
            inner = self._inner(left, right, len(left.slopes))
            for part, rest, sums in sums_of_pairs(self.weights[-1], left.gate, right.gate):
                sums *= inner[part, rest]
                into[part, :, rest] = sums.permute(2, 0, 3, 1)  # few enough to be in cache
                if left is right:
                    into[rest, :, part] = sums.permute(3, 0, 2, 1)
        else:
            into.zero_()
        for layer, (ours, theirs) in enumerate(zip(left.slopes, right.slopes, strict=True)):
            turned = times_transposed(ours.flatten(0, 1), theirs.flatten(0, 1)).view(c, n, c, m)
            into += turned.mul_(self._inner(left, right, layer)[:, None, :]).permute(1, 0, 3, 2)
        into.diagonal(dim1=1, dim2=3).add_(self._inner(left, right, len(self.weights) - 1)[:, :, None])

    def averaged_block(self, left: Slopes, right: Slopes) -> Tensor:
        total = self._inner(left, right, len(self.weights) - 1)
        for layer, (ours, theirs) in enumerate(zip(left.slopes, right.slopes, strict=True)):
            turned = ours.transpose(0, 1).flatten(1) @ theirs.transpose(0, 1).flatten(1).T
            total += turned.mul_(self._inner(left, right, layer) / self.outputs)
        if left.gate is not None and right.gate is not None:
            turned = (left.gate * self.weights[-1].square().mean(dim=0)) @ right.gate.T
            total += turned.mul_(self._inner(left, right, len(left.slopes)))
        return total
