"""The losses that devices can minimize, and their targets."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]


def loss_function(name: str, outputs: int) -> Loss:
    """(b, C) outputs and targets, class numbers or values -> the mean loss, as torch defines it.

    mse: nn.MSELoss, the mean over samples and outputs; class numbers become one-hot rows.
    """
    if name == "cross_entropy":
        return F.cross_entropy
    return lambda output, target: F.mse_loss(output, dense_targets(target, outputs).to(output.dtype))


def dense_targets(target: Tensor, outputs: int) -> Tensor:
    """Class numbers as one-hot rows, of bools; real values as they are."""
    if target.is_floating_point():
        return target
    return target.unsqueeze(-1) == torch.arange(outputs, device=target.device)  # F.one_hot cannot be mapped
