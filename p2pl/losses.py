"""The losses that devices can minimize, and their targets."""

from __future__ import annotations

from collections.abc import Callable

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
    """Class numbers as one-hot rows; real values as they are."""
    return target if target.is_floating_point() else F.one_hot(target, outputs)
