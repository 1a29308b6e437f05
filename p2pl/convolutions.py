"""The convolutional network of `p2pl.models.cnn` for a block of devices at once.

    h <- relu(pool(W_k * h + b_k))       twice, then a linear map; the convolutions of B devices are one with B groups

Channels lie last in memory, where pooling and convolutions are fast on a CPU. Pooling comes before the ReLU and leaves
it a quarter of the work: both are monotonous, so values and derivatives are those of the other order. Where all devices
see the same samples, their first convolution is one without groups: all its outputs are of the same inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from p2pl.batched import SAMPLES_AT_ONCE
from p2pl.losses import loss_function
from p2pl.models.cnn import SmallCNN

SAMPLES = 25  # that go through the networks of a block together where nothing is trained: they stay in cache


class BatchedCNN:
    """See `p2pl.batched.BatchedModel`."""

    block = 4  # few enough that their activations in a batch of 10 stay in cache

    def __init__(self, module: SmallCNN, loss: str, outputs: int) -> None:
        self.loss = loss_function(loss, outputs)
        self.shapes = [p.shape for p in module.parameters()]
        self.sizes = [p.numel() for p in module.parameters()]
        self.parameters = sum(self.sizes)

    def _weights(self, x: Tensor) -> list[Tensor]:
        """Views of (B, P), one for each parameter: (B, *shape)."""
        parts = zip(torch.split(x, self.sizes, dim=1), self.shapes, strict=True)
        return [part.view(len(x), *shape) for part, shape in parts]

    def _outputs(self, weights: list[Tensor], images: Tensor, groups: int) -> Tensor:
        """(B, *shape) parameters, images as `side_by_side` lays them, of B devices or of one -> (B, b, outputs)."""
        first, first_bias, second, second_bias, last, last_bias = weights
        devices = len(last)
        h = F.conv2d(images, first.flatten(0, 1), first_bias.flatten(), padding=2, groups=groups)
        h = torch.relu(F.max_pool2d(h, 2))
        h = F.conv2d(h, second.flatten(0, 1), second_bias.flatten(), padding=2, groups=devices)
        h = torch.relu(F.max_pool2d(h, 2))
        flat = h.reshape(len(h), devices, -1).transpose(0, 1)
        return torch.baddbmm(last_bias.unsqueeze(1), flat, last.transpose(1, 2))

    def forward(self, x: Tensor, inputs: Tensor) -> Tensor:
        if len(inputs) > 1:
            return self._outputs(self._weights(x), side_by_side(inputs), len(x))
        few = torch.split(side_by_side(inputs), SAMPLES if x.device.type == "cpu" else SAMPLES_AT_ONCE)
        blocks = [self._weights(rows) for rows in torch.split(x, self.block)]
        return torch.cat([torch.cat([self._outputs(block, some, 1) for some in few], dim=1) for block in blocks])

    def gradient(self, x: Tensor, inputs: Tensor, targets: Tensor, out: Tensor, keep: float = 0.0) -> None:
        weights = [part.detach().requires_grad_() for part in self._weights(x)]
        outputs = self._outputs(weights, side_by_side(inputs), len(x))
        # Batches are of one size: the mean over all samples is the mean of the devices' means.
        whole = self.loss(outputs.flatten(0, 1), targets.flatten(0, 1)) * len(x)
        for part, found in zip(self._weights(out), torch.autograd.grad(whole, weights), strict=True):
            torch.add(found, part, alpha=keep, out=part) if keep else part.copy_(found)


def side_by_side(inputs: Tensor) -> Tensor:
    """(B, b, C, H, W) images as (b, B C, H, W), the channels of one pixel after another in memory.

    The strides say so even where there is one channel, and they could as well say something else.
    """
    pixels = inputs.permute(1, 3, 4, 0, 2).flatten(3).contiguous()
    count, height, width, channels = pixels.shape
    strides = (height * width * channels, 1, width * channels, channels)
    return pixels.as_strided((count, channels, height, width), strides)
