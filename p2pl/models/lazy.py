"""A network that learns as lazily as one likes: f_0(x) + alpha (f(x, theta) - f_0(x)), f_0 the network at its own draw.

With a learning rate divided by alpha^2 the outputs move as before, the parameters 1 / alpha as far, and so the network
stays as much closer to its linearization. Chizat, Oyallon and Bach, "On Lazy Training in Differentiable Programming",
NeurIPS 2019.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Lazy(nn.Module):
    """module: (B, ...) -> (B, C); a copy of it as it is now gives f_0. At theta_0 outputs are f_0 whatever alpha."""

    def __init__(self, module: nn.Module, alpha: float) -> None:
        super().__init__()
        self.module, self.alpha = module, alpha
        self.frozen = copy.deepcopy(module).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            start = self.frozen(x)
        out: Tensor = start + self.alpha * (self.module(x) - start)
        return out
