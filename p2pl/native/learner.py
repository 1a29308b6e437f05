"""On-device learning by the native library: see `p2pl.training.Learner`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from p2pl.local_data import LocalData
from p2pl.memory import address
from p2pl.models.mlp import MLP
from p2pl.native.library import ACTIVATIONS, LOSSES, Job, Library

TEST_BATCH = 24  # samples that go through a network together: whole tiles, and few enough for the cache


class NativeLearner:
    """Multi-layer perceptrons in float32 on the CPU, all devices in one call, one after another.

    A device's result does not depend on which others are learned with it.
    """

    def __init__(self, library: Library, module: MLP, loss: str, data: LocalData) -> None:
        self.library, self.data = library, data
        self.name = f"native ({library.chosen})"
        targets = data.targets.contiguous()
        layers = [layer for layer in module.layers if isinstance(layer, nn.Linear)]
        self.parameters = sum(p.numel() for p in module.parameters())
        self.training = Samples(data.inputs)
        self.test: Samples | None = None
        self.fixed: dict[str, Any] = {  # tensors and arrays here outlive every call that points to them
            "widths": np.array([layers[0].in_features, *(layer.out_features for layer in layers)]),
            "scales": np.array(module.scales, dtype=np.float64),
            "values" if targets.is_floating_point() else "classes": targets,
        }
        self.numbers: dict[str, Any] = {
            "layers": len(layers),
            "parameters": self.parameters,
            "bias": layers[0].bias is not None,
            "activation": ACTIVATIONS.index(module.activation),
            "loss": LOSSES.index(loss),
            **{name: getattr(data.training, name) for name in ("lr", "momentum", "weight_decay", "nesterov")},
        }

    def learn(self, x: Tensor, velocity: Tensor, devices: np.ndarray, round: int, drift: Tensor | None) -> None:
        schedules = [self.data.schedule(int(device), round) for device in devices]
        ends = np.cumsum([0] + [len(order) for order, _ in schedules])
        cuts = [end + cuts[:-1] for end, (_, cuts) in zip(ends[:-1], schedules, strict=True)]
        arrays = {
            "rows": np.asarray(devices, dtype=np.int64),
            "first": np.cumsum([0] + [len(part) for part in cuts]),
            "order": np.concatenate([order for order, _ in schedules]).astype(np.int64, copy=False),
            "cuts": np.concatenate([*cuts, ends[-1:]]),
            "x": x,
            "velocity": velocity,
            "drift": None if drift is None else drift.contiguous(),
        }
        self._call(len(devices), self.training, arrays)

    def outputs(self, x: Tensor, inputs: Tensor) -> Tensor:
        """See `Learner.outputs`."""
        if self.test is None or self.test.given is not inputs:
            self.test = Samples(inputs)
        samples = len(inputs)
        out = torch.empty(len(x), samples, int(self.fixed["widths"][-1]))
        batches = -(-samples // TEST_BATCH)
        arrays = {
            "rows": np.arange(len(x)),
            "first": np.array([0, batches]),
            "order": np.arange(samples),
            "cuts": np.minimum(np.arange(batches + 1) * TEST_BATCH, samples),
            "x": x.contiguous(),
            "out": out,
        }
        self._call(len(x), self.test, arrays)
        return out

    def _call(self, devices: int, samples: Samples, arrays: dict[str, Any]) -> None:
        arrays = self.fixed | {"inputs": samples.inputs, "active": samples.active} | arrays
        places = {name: address(array) for name, array in arrays.items()}
        self.library.learn(Job(devices=devices, **self.numbers, **places))


class Samples:
    """Inputs (N, ...) as the library takes them: (N, D), and bits for those that are not zero. given: as they came."""

    def __init__(self, given: Tensor) -> None:
        self.given = given
        self.inputs = given.flatten(1).contiguous()
        self.active = nonzero_bits(self.inputs.numpy())


def nonzero_bits(inputs: np.ndarray) -> np.ndarray | None:
    """(N, D) -> (N, ceil(D / 64)) words with a bit for each input that is not zero, the lowest bit first.

    None if more than a third are not: then it is faster to multiply with zeros.
    """
    samples, width = inputs.shape
    if np.count_nonzero(inputs) > inputs.size / 3:
        return None
    words = np.zeros((samples, -(-width // 64) * 8), dtype=np.uint8)
    words[:, : -(-width // 8)] = np.packbits(inputs != 0, axis=1, bitorder="little")
    return words.view(np.dtype("<u8"))
