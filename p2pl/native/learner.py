"""On-device learning by the native library: see `p2pl.training.Learner`."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from p2pl.local_data import LocalData
from p2pl.memory import address
from p2pl.models.mlp import MLP
from p2pl.native.library import ACTIVATIONS, LOSSES, Job, Library, Orders
from p2pl.seeds import words
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
        self.job = self._job(self.training)
        self.schedules = Schedules(library, data, self.job)

    def learn(self, old: Old, new: New, devices: np.ndarray, round: int, drift: Tensor | None) -> None:
        """See `Learner.learn`."""
        given = {"x": old[0], "velocity": old[1], "drift": drift}
        held = {name: None if part is None else part.contiguous() for name, part in given.items()}
        self.schedules.draw(devices, round)
        self.job.lr = self.data.rate(round)
        point(self.job, {**held, "new_x": new[0], "new_velocity": new[1]})
        self.library.learn(self.job)

    def outputs(self, x: Tensor, inputs: Tensor) -> Tensor:
        """See `Learner.outputs`."""
        if self.test is None or self.test.given is not inputs:
            self.test = Samples(inputs, listed=True)
        samples = len(inputs)
        out = torch.empty(len(x), samples, int(self.fixed["widths"][-1]))
        batches = -(-samples // TEST_BATCH)
        arrays: dict[str, Any] = {
            "rows": np.arange(len(x)),
            "first": np.array([0, batches]),
            "order": np.arange(samples),
            "cuts": np.minimum(np.arange(batches + 1) * TEST_BATCH, samples),
            "x": x.contiguous(),
            "out": out,
        }
        job = self._job(self.test)
        job.devices = len(x)
        point(job, arrays)
        self.library.learn(job)
        return out

    def _job(self, samples: Samples) -> Job:
        """With all that is the same in every call."""
        job = Job(base=samples.base, **self.numbers)
        point(job, {**self.fixed, "inputs": samples.inputs, **samples.sparse})
        return job


def point(structure: ctypes.Structure, arrays: Mapping[str, np.ndarray | Tensor | None]) -> None:
    """Have its fields point to these, which must outlive its use."""
    for name, array in arrays.items():
        setattr(structure, name, address(array))


class Schedules:
    """The orders in which a job's devices meet their samples, drawn by the library: those of `LocalData.schedule`.

    What is the same in every round is kept for the devices that were the last to learn.
    """

    def __init__(self, library: Library, data: LocalData, job: Job) -> None:
        self.library, self.data, self.job, self.devices = library, data, job, np.zeros(0, dtype=np.int64)
        size, known = data.training.batch_size, words(data.seed, "batches")
        sizes = [len(shard) for shard in data.shards]
        self.orders = Orders(batch=max(sizes) if size == "full" else size, known=len(known))
        self.fixed: dict[str, Any] = {
            "words": known,
            "shards": np.concatenate(data.shards).astype(np.int64),
            "begins": np.cumsum([0, *sizes]),
        }
        self.arrays: dict[str, np.ndarray] = {}
        point(self.orders, self.fixed)

    def draw(self, devices: np.ndarray, round: int) -> None:
        """Tell the job its devices and their mini-batches in a round."""
        if devices.tobytes() != self.devices.tobytes():
            self._take(devices)
        self.orders.round = round
        self.library.draw(self.orders)

    def _take(self, devices: np.ndarray) -> None:
        cuts = [self.data.cuts(int(device)) for device in devices]
        ends = np.cumsum([0, *(part[-1] for part in cuts)])
        rows, order = np.array(devices, dtype=np.int64), np.empty(ends[-1], dtype=np.int64)
        self.devices = rows
        self.orders.devices = self.job.devices = len(rows)
        self.arrays = {"rows": rows, "names": self.data.names[rows], "order": order, "ends": ends}
        self.arrays["first"] = np.cumsum([0, *(len(part) - 1 for part in cuts)])
        begun = [end + part[:-1] for end, part in zip(ends[:-1], cuts, strict=True)]
        self.arrays["cuts"] = np.concatenate([*begun, ends[-1:]])
        point(self.orders, {"rows": rows, "names": self.arrays["names"], "order": order, "first": ends})
        point(self.job, {name: self.arrays[name] for name in ("rows", "order", "first", "cuts")})


class Samples:
    """Inputs (N, ...) as the library takes them: (N, D). given: as they came.

    base: the number that more than half of them are, if there is one. sparse: where two thirds are, what tells the
    others, for outputs listed; see job.hpp.
    """

    def __init__(self, given: Tensor, listed: bool = False) -> None:
        self.given = given
        self.inputs = given.flatten(1).contiguous()
        inputs = self.inputs.numpy()
        some = inputs.ravel()[:: max(1, inputs.size // 100_000)]
        self.base = float(np.median(some)) if len(some) else 0.0
        self.sparse = apart_from(inputs, self.base, listed)


def apart_from(inputs: np.ndarray, base: float, listed: bool) -> dict[str, np.ndarray]:
    """Of inputs (N, D) those that are not `base`; nothing if more than a third are not: then all are multiplied.

    active: (N, ceil(D / 64)) words with a bit for each, the lowest bit first. apart: these inputs less base, sample by
    sample; begins: (N + 1,) where each sample's begin; places, if they are to be listed: which input each is.
    """
    samples, width = inputs.shape
    different = inputs != base
    if np.count_nonzero(different) > inputs.size / 3:
        return {}
    words = np.zeros((samples, -(-width // 64) * 8), dtype=np.uint8)
    words[:, : -(-width // 8)] = np.packbits(different, axis=1, bitorder="little")
    places = {"places": np.nonzero(different)[1].astype(np.int32)} if listed else {}
    return places | {
        "active": words.view(np.dtype("<u8")),
        "apart": inputs[different] - np.float32(base),
        "begins": np.concatenate([[0], np.cumsum(np.count_nonzero(different, axis=1))]),
    }
