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
from p2pl.training import New, Old

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
            **{name: getattr(data.training, name) for name in ("momentum", "weight_decay", "nesterov")},
        }

    def learn(self, old: Old, new: New, devices: np.ndarray, round: int, drift: Tensor | None) -> None:
        """See `Learner.learn`."""
        order, cuts, first = self.data.in_turn(devices, round)
        given = {"x": old[0], "velocity": old[1], "drift": drift}
        arrays = {
            "rows": np.asarray(devices, dtype=np.int64),
            "first": first,
            "order": order,
            "cuts": cuts,
            "new_x": new[0],
            "new_velocity": new[1],
            **{name: None if part is None else part.contiguous() for name, part in given.items()},
        }
        self._call(len(devices), self.training, arrays, self.data.rate(round))

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

    def _call(self, devices: int, samples: Samples, arrays: dict[str, Any], lr: float = 0.0) -> None:
        arrays = self.fixed | {"inputs": samples.inputs} | samples.sparse | arrays
        places = {name: address(array) for name, array in arrays.items()}
        self.library.learn(Job(devices=devices, base=samples.base, lr=lr, **self.numbers, **places))


class Samples:
    """Inputs (N, ...) as the library takes them: (N, D). given: as they came.

    base: the number that more than half of them are, if there is one. sparse: where two thirds are, what tells the
    others; see job.hpp.
    """

    def __init__(self, given: Tensor) -> None:
        self.given = given
        self.inputs = given.flatten(1).contiguous()
        inputs = self.inputs.numpy()
        some = inputs.ravel()[:: max(1, inputs.size // 100_000)]
        self.base = float(np.median(some)) if len(some) else 0.0
        self.sparse = apart_from(inputs, self.base)


def apart_from(inputs: np.ndarray, base: float) -> dict[str, np.ndarray]:
    """Of inputs (N, D) those that are not `base`; nothing if more than a third are not: then all are multiplied.

    active: (N, ceil(D / 64)) words with a bit for each, the lowest bit first. apart: these inputs less base, sample by
    sample; begins: (N + 1,) where each sample's begin.
    """
    samples, width = inputs.shape
    different = inputs != base
    if np.count_nonzero(different) > inputs.size / 3:
        return {}
    words = np.zeros((samples, -(-width // 64) * 8), dtype=np.uint8)
    words[:, : -(-width // 8)] = np.packbits(different, axis=1, bitorder="little")
    return {
        "active": words.view(np.dtype("<u8")),
        "apart": inputs[different] - np.float32(base),
        "begins": np.concatenate([[0], np.cumsum(np.count_nonzero(different, axis=1))]),
    }
