"""The tangent kernel of convolutions and linear layers without their Jacobians, by unfolding.

    z_l(n)[p] = W_l u_l(n)[p]        u_l(n)[p] (F,): what layer l sees of sample n at position p, a patch of its input

    G_l(n, c) = sum_p d_l(n, c)[p] u_l(n)[p]',       d_l(n, c)[p] (K,) = d f_c / d z_l(n)[p]

    Theta[(n, c), (m, e)] = sum_l <G_l(n, c), G_l(m, e)>                                                by gradients
                          = sum_l sum_p,q (u_l(n)[p] . u_l(m)[q]) (d_l(n, c)[p] . d_l(m, e)[q])         by positions

For a pair of samples, C outputs and P positions the first takes C^2 K F multiply-adds, the second P^2 (F + C^2 K) and
C^2 P^2 sums in memory: whichever is less is taken, layer by layer. Early layers have many positions, late ones few, and
a linear layer has one. A bias is the weight of an input that is always 1; groups of channels are layers side by side.

d_l is the slope of the outputs in a shift of z_l. All other parameters (of norms, of convolutions of other kinds, of
layers that are called twice or share their weights) have their Jacobian taken in the same pass.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap

from theory.jacobian import averaged_product, full_product, named_parameters
from theory.layers import Hook, call_with, own, unfoldable

SAMPLES = 4  # whose slopes are taken together
COPIES = 4  # of slopes, and of patches, in memory while they are made


class Slopes(NamedTuple):
    """Of n samples. gradients: (n, C, Q), of layers by gradients and of all parameters that are no such layer's.

    positions: u (P, n, F) and d (P, n, C, K) of layers by positions, group by group.
    """

    gradients: Tensor
    positions: list[tuple[Tensor, Tensor]]

    def grown(self, n: int) -> Slopes:
        """With room for n samples, of which these are the first."""
        whole = Slopes(
            self.gradients.new_empty(n, *self.gradients.shape[1:]),
            [(u.new_empty(len(u), n, *u.shape[2:]), d.new_empty(len(d), n, *d.shape[2:])) for u, d in self.positions],
        )
        whole.put(0, self)
        return whole

    def put(self, begin: int, part: Slopes) -> None:
        """A part's samples in place of those from `begin` on."""
        some = slice(begin, begin + len(part.gradients))
        self.gradients[some] = part.gradients
        for (u, d), (v, e) in zip(self.positions, part.positions, strict=True):
            u[:, some], d[:, some] = v, e


class Unfolded:
    """The kernel of a module at parameters (P,), some of whose layers can be unfolded; see `theory.kernel.Form`."""

    symmetric = False

    def __init__(self, module: nn.Module, parameters: Tensor, sample: Tensor) -> None:
        self.module = module
        learned, fixed = named_parameters(module, parameters)
        self.outputs, self.layers = unfoldable(module, learned, fixed, sample)
        unfolded = {name for path, layer in self.layers.items() for name in own(path, layer.module)}
        self.fixed = fixed | {name: value for name, value in learned.items() if name in unfolded}
        self.others = {name: value for name, value in learned.items() if name not in unfolded}

    def floats(self, rows: int, columns: int, averaged: bool) -> int:
        layers, pairs = self.layers.values(), rows * columns * (4 if averaged else 2 * self.outputs**2 + 1)
        others = self.outputs * sum(p.numel() for p in self.others.values())
        held = others + sum(layer.held for layer in layers)
        shifts = self.outputs * sum(layer.shape.numel() for layer in layers)
        # Patches are copied, and torch unfolds what it convolves, too, for the slopes of all outputs.
        unfolded = (COPIES + self.outputs) * max((layer.patches for layer in layers), default=0)
        passing = 2 * held + COPIES * shifts + unfolded
        return (rows + columns) * held + max(pairs, min(SAMPLES, max(rows, columns)) * passing)

    def features(self, inputs: Tensor) -> Slopes:
        first, *others = torch.split(inputs, SAMPLES)
        whole = self._some(first).grown(len(inputs))
        for index, some in enumerate(others, start=1):
            whole.put(index * SAMPLES, self._some(some))
        return whole

    def _some(self, inputs: Tensor) -> Slopes:
        shifts = {path: inputs.new_zeros(layer.shape) for path, layer in self.layers.items()}
        slopes, seen = vmap(jacrev(self._call, has_aux=True), in_dims=(None, 0))(self.others | shifts, inputs)
        gradients = [inputs.new_empty(len(inputs), self.outputs, 0)]
        gradients += [slopes[name].flatten(2) for name in self.others]
        positions = []
        for path, layer in self.layers.items():
            for u, d in layer.unfold(seen.pop(path), slopes.pop(path)):
                if layer.by_positions:
                    positions.append((u.permute(2, 0, 1), d.permute(3, 0, 1, 2)))
                else:
                    gradients.append((d.flatten(1, 2) @ u.transpose(1, 2)).view(len(d), self.outputs, -1))
        return Slopes(torch.cat(gradients, dim=2), positions)

    def _call(self, varied: dict[str, Tensor], sample: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The outputs for one sample (C,), and what each layer sees. varied: shifts by layer, and other parameters."""
        seen: dict[str, Tensor] = {}

        def shifted(path: str) -> Hook:
            def hook(_: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> Tensor:
                seen[path] = inputs[0]
                return out + varied[path]

            return hook

        layers = {path: layer.module for path, layer in self.layers.items()}
        others = {name: varied[name] for name in self.others}
        return call_with(self.module, layers, shifted, self.fixed | others, sample.unsqueeze(0))[0], seen

    def fill(self, into: Tensor, left: Slopes, right: Slopes) -> None:
        into.copy_(self.block(left, right))

    def block(self, left: Slopes, right: Slopes) -> Tensor:
        total = full_product(left.gradients, right.gradients)
        for (u, d), (v, e) in zip(left.positions, right.positions, strict=True):
            for p, q in product(range(len(u)), range(len(v))):
                total.addcmul_(full_product(d[p], e[q]), (u[p] @ v[q].T)[:, None, :, None])
        return total

    def averaged_block(self, left: Slopes, right: Slopes) -> Tensor:
        total = averaged_product(left.gradients, right.gradients)
        for (u, d), (v, e) in zip(left.positions, right.positions, strict=True):
            for p, q in product(range(len(u)), range(len(v))):
                total.addcmul_(averaged_product(d[p], e[q]), u[p] @ v[q].T)
        return total
