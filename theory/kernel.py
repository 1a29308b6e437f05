"""The empirical neural tangent kernel of a torch model, between any two sets of samples.

    Theta[(n, c), (m, e)] = sum_p  d f_c(x_n) / d theta_p   d f_e(x_m) / d theta_p

Jacot, Gabriel and Hongler, "Neural Tangent Kernel", NeurIPS 2018. Multi-layer perceptrons have it written out
(`theory.dense`), with no Jacobian of the size of the model; of other modules convolutions and linear layers are
unfolded (`theory.unfolded`); where there is neither the Jacobian is taken and contracted (`theory.jacobian`), a few
samples at a time. Tests hold the first two to the last.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from p2pl.models.lazy import Lazy
from p2pl.models.mlp import MLP
from p2pl.registry import SpecError
from theory.dense import Perceptron
from theory.jacobian import AnyModule
from theory.products import pieces
from theory.unfolded import Unfolded

MEMORY = 4 * 2**30  # bytes, where nobody says otherwise
TILE, NARROW = 256, 32  # samples a side: beyond the first products are no faster, below the second they are slower
OWN = 128  # at most, of a kernel that is symmetric: half of what is off its diagonal is not multiplied
LINE = 64  # bytes of a cache line
MODELS = 2  # copies of the parameters in memory


class Form(Protocol):
    """How the kernel of one kind of module is had. outputs: C.

    symmetric: whether of samples with themselves it takes half the work.
    """

    outputs: int
    symmetric: bool

    def floats(self, rows: int, columns: int, averaged: bool) -> int:
        """Numbers held for, and while, a block of so many samples is made, besides the result and the model."""
        ...

    def features(self, inputs: Tensor) -> Any:
        """What the blocks of samples (n, ...) are made of."""
        ...

    def fill(self, into: Tensor, left: Any, right: Any) -> None:
        """Write the kernel (n, C, m, C) between samples with these features; both may be the same."""
        ...

    def averaged_block(self, left: Any, right: Any) -> Tensor:
        """Its trace over outputs / C: (n, m)."""
        ...


def ntk(
    module: nn.Module,
    parameters: Tensor,
    left: Tensor,
    right: Tensor,
    *,
    averaged: bool = False,
    memory: int = MEMORY,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """The kernel between samples left (N, ...) and right (M, ...) at parameters (P,).

    module: (B, ...) -> (B, C); its parameters are replaced by `parameters`, in the order of `module.parameters()`, and
    left as they are. Returns (N C, M C), row n C + c for output c of sample n; averaged: (N, M), the trace over
    outputs / C, which is all there is to the kernel where it is isotropic (as in the limit of infinite width). The same
    tensor for left and right is known to be one: then half of the work is left out.

    dtype: of all products and of the result; in float32 twice as fast, to some six digits.

    memory: bytes for the result and what is held on the way. Raises SpecError if they do not do, and for modules whose
    output for one sample depends on others or on chance (BatchNorm in training mode, dropout), by name.
    """
    refuse_untreatable(module)
    if isinstance(module, Lazy):
        return ntk(module.module, parameters, left, right, averaged=averaged, memory=memory, dtype=dtype).mul_(
            module.alpha**2
        )
    form = form_of(module, parameters.detach().to(dtype), left[:1].to(dtype))
    n, m, c = len(left), len(right), 1 if averaged else form.outputs
    left_over = memory - dtype.itemsize * n * m * c * c
    if left_over < 0:
        raise SpecError(too_large(n, m, form.outputs, averaged, memory - left_over, memory))
    result = empty((n, c, m, c), dtype)
    rows, columns = tile(form, n, m, averaged, left_over // dtype.itemsize - MODELS * len(parameters))
    if left is right:
        rows = min(rows, columns) if form.symmetric and not averaged else min(rows, columns, OWN)
        fill_within(result, form, left, rows, columns, averaged)
    else:
        fill_across(result, form, left, right, rows, columns, averaged)
    return result.view(n * c, m * c)


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """New memory, by NumPy in huge pages (see `p2pl.memory`), from where a cache line begins."""
    size = math.prod(shape) * dtype.itemsize
    memory = torch.from_numpy(np.empty(size + LINE, dtype=np.uint8))
    begin = -memory.data_ptr() % LINE
    return memory[begin : begin + size].view(dtype).view(shape)


def fill_across(
    result: Tensor, form: Form, left: Tensor, right: Tensor, rows: int, columns: int, averaged: bool
) -> None:
    """The kernel (N, C, M, C), so many samples of the left and of the right at a time."""
    for some in pieces(len(right), columns):
        theirs = form.features(right[some].to(result.dtype))
        for part in pieces(len(left), rows):
            fill(result[part, :, some], form, form.features(left[part].to(result.dtype)), theirs, averaged)
        del theirs  # before the next are made


def fill_within(result: Tensor, form: Form, samples: Tensor, rows: int, columns: int, averaged: bool) -> None:
    """The same for one set of samples, in square tiles of `rows`: those below the diagonal are those above, turned."""
    for some in pieces(len(samples), columns - columns % rows if columns < len(samples) else columns):
        parts = list(pieces(some.stop, rows, some.start))
        theirs = [form.features(samples[part].to(result.dtype)) for part in parts]
        for above in pieces(some.stop, rows):
            inside = parts.index(above) if above in parts else None
            ours = form.features(samples[above].to(result.dtype)) if inside is None else theirs[inside]
            for part, features in list(zip(parts, theirs, strict=True))[inside or 0 :]:
                block = result[above, :, part]
                fill(block, form, ours, features, averaged)
                if part != above:
                    result[part, :, above] = block.permute(2, 3, 0, 1)
        del theirs, ours, features


def fill(into: Tensor, form: Form, ours: Any, theirs: Any, averaged: bool) -> None:
    """The block, (n, C, m, C) or (n, 1, m, 1), between samples with these features."""
    if averaged:
        into[:, 0, :, 0] = form.averaged_block(ours, theirs)
    else:
        form.fill(into, ours, theirs)


def form_of(module: nn.Module, parameters: Tensor, sample: Tensor) -> Form:
    """The fastest way to a module's kernel. sample: (1, ...), any one input."""
    if isinstance(module, MLP):
        return Perceptron(module, parameters)
    unfolded = Unfolded(module, parameters, sample)
    return unfolded if unfolded.layers else AnyModule(module, parameters, sample)


def refuse_untreatable(module: nn.Module) -> None:
    """Raises SpecError for parts that make a sample's output depend on its batch, or on chance."""
    for name, part in module.named_modules():
        where = f"'{name}' ({type(part).__name__})" if name else type(part).__name__
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and (part.training or part.running_mean is None):
            raise SpecError(
                f"the tangent kernel is of one sample at a time, and {where} is BatchNorm in training mode, whose"
                " outputs depend on the batch: use GroupNorm, or module.eval()"
            )
        if isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0:
            raise SpecError(
                f"the tangent kernel is of a fixed function, and {where} draws at random: leave dropout out"
            )


def tile(form: Form, left: int, right: int, averaged: bool, room: int) -> tuple[int, int]:
    """How many samples of either side to take together, so that what is held for them is at most `room` numbers.

    What is on the left is made anew for each tile of the right: the left gives way first, until products suffer.
    """
    rows, columns = min(left, TILE), right
    while form.floats(rows, columns, averaged) > room:
        if rows == columns == 1:
            raise SpecError(
                f"the kernel of a single pair of samples, {form.outputs} outputs each, needs"
                f" {form.floats(1, 1, averaged):,} numbers beside the result and the model, and memory for"
                f" {max(room, 0):,} is left: allow more memory"
            )
        if rows <= NARROW and columns > rows:
            columns = -(-columns // 2)
        else:
            rows = -(-rows // 2)
    return rows, columns


def too_large(left: int, right: int, outputs: int, averaged: bool, wanted: int, memory: int) -> str:
    fewer = "fewer samples" if averaged else f"fewer samples, averaged=True ({wanted // outputs**2:,} bytes)"
    return (
        f"the kernel between N = {left:,} and {right:,} samples of C = {outputs} outputs has {wanted:,} bytes, and"
        f" {memory:,} are allowed: {fewer}, or more memory would do"
    )
