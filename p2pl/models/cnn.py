"""A convolutional network small enough to train a hundred of on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pl.registry import Count, SpecError, model


class SmallCNN(nn.Module):
    """conv 5x5 - relu - max pool 2 - conv 5x5 - relu - max pool 2 - linear. (B, C, H, W) -> (B, outputs)."""

    def __init__(self, inputs: tuple[int, int, int], outputs: int, channels: int) -> None:
        super().__init__()
        planes, height, width = inputs
        self.first = nn.Conv2d(planes, channels, 5, padding=2)
        self.second = nn.Conv2d(channels, 2 * channels, 5, padding=2)
        self.last = nn.Linear(2 * channels * (height // 4) * (width // 4), outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = F.max_pool2d(torch.relu(self.first(x)), 2)
        h = F.max_pool2d(torch.relu(self.second(h)), 2)
        out: Tensor = self.last(h.flatten(1))
        return out


@model
def cnn(inputs: tuple[int, ...], outputs: int, channels: Count = 16) -> SmallCNN:
    """Two 5 x 5 convolutions with pooling, then a linear layer: 28,938 parameters on MNIST, 34,538 on CIFAR-10.

    The form of the CNN of McMahan et al., AISTATS 2017, with 16 and 32 channels instead of 32 and 64 and without its
    hidden layer of 512; no normalization layers, so that averaging models is averaging parameters. Raises SpecError if
    the inputs are not images of at least 4 x 4 pixels.
    """
    if len(inputs) != 3 or min(inputs[1:]) < 4:
        raise SpecError(f"model 'cnn' takes images (channels, height, width) of at least 4 x 4 pixels, not {inputs}")
    return SmallCNN((inputs[0], inputs[1], inputs[2]), outputs, channels)
