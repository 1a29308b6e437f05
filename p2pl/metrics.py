"""What is measured of K models: each device, the worst, and the average model, always all three.

Accuracies are fractions of the test samples; losses are test losses, of the kind that is trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from p2pl.accelerator import moved
from p2pl.losses import dense_targets

ACCURACIES = (
    "accuracy_mean",
    "accuracy_min",
    "accuracy_of_average",
    "accuracy_devices",
    "own_class_accuracy",
    "other_class_accuracy",
)
BLOCK_VALUES = 4_000_000  # values a layer of 256 units has in one block of an evaluation: 16 MB of float32
ROW_VALUES = 2**17  # that are turned to doubles at once
DEVICES_AT_ONCE = 8  # that are added up: going down many rows, which lie far apart, takes ten times as long


class Meter:
    """Measures (K, P) parameters on a test set, inputs (T, ...).

    outputs: (B, P) parameters and the inputs -> (B, T, C).

    own: (K, C) bool, the classes that each device has samples of (None for regression).
    optimum: (P,) minimizer of the average of the devices' losses, where it is known.
    """

    def __init__(
        self,
        outputs: Callable[[Tensor, Tensor], Tensor],
        inputs: Tensor,
        targets: Tensor,
        loss: str,
        own: Tensor | None,
        optimum: Tensor | None,
    ) -> None:
        self.outputs, self.inputs, self.targets = outputs, inputs, targets
        self.loss = loss
        self.own, self.optimum = moved((own, optimum), inputs.device)
        if self.own is not None:  # (C, 1, T) minus infinity for the target and the classes after it, 0 for those before
            classes = torch.arange(self.own.shape[1], device=inputs.device)[:, None, None]
            self.later = torch.where(classes < targets, 0.0, -math.inf).to(inputs.dtype)
            of_own = self.own[:, targets]  # (K, T)
            self.kinds = {"own_class_accuracy": of_own, "other_class_accuracy": ~of_own}

    def measure(self, x: Tensor) -> dict[str, Any]:
        """One row of results: scalars, and `*_devices` lists with one entry a device; None where undefined."""
        (row,) = self.measure_all(x[None])
        return row

    def measure_all(self, x: Tensor) -> list[dict[str, Any]]:
        """The rows of R runs side by side, (R, K, P)."""
        average = average_models(x)
        losses, hits = self._evaluate(x.flatten(0, 1), average.squeeze(1).to(x.dtype))
        each, together = losses[: -len(x)].view(x.shape[:2]), losses[-len(x) :]
        columns: dict[str, list[Any]] = {
            "loss_mean": each.mean(dim=1).tolist(),
            "loss_max": each.amax(dim=1).tolist(),
            "loss_of_average": together.tolist(),
            "loss_devices": each.tolist(),
            "consensus_distance": rms_distances(x, average),
            "distance_to_optimum": [None] * len(x),
            "distance_to_optimum_of_average": [None] * len(x),
        }
        if self.optimum is not None:
            columns["distance_to_optimum"] = rms_distances(x, self.optimum)
            columns["distance_to_optimum_of_average"] = rms_distances(average, self.optimum)
        columns |= self._accuracies(hits, len(x))
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _evaluate(self, *models: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of all rows: (rows,) mean loss, and (rows, T) whether each test sample is classified correctly; float64."""
        losses, hits = [], []
        block = max(1, BLOCK_VALUES // (len(self.inputs) * 256))
        for rows in (rows for x in models for rows in torch.split(x, block)):
            output = self.outputs(rows, self.inputs).movedim(2, 0).contiguous()  # sums over few neighbours are slow
            losses.append(self._losses(output))
            if self.own is not None:
                hits.append(self._hits(output))
        return torch.cat(losses), torch.cat(hits) if hits else None

    def _losses(self, output: Tensor) -> Tensor:
        """(rows,) of outputs (C, rows, T)."""
        if self.loss == "cross_entropy":  # in one pass, and F.cross_entropy takes far longer without a mean
            target = self.targets.expand(1, *output.shape[1:])
            return -output.log_softmax(dim=0).gather(0, target).squeeze(0).double().mean(dim=1)
        wanted = dense_targets(self.targets, len(output)).to(output.dtype)
        return (output - wanted.T[:, None]).square().double().mean(dim=(0, 2))

    def _hits(self, output: Tensor) -> Tensor:
        """(rows, T) whether the first of the largest outputs (C, rows, T) is the target: argmax takes far longer."""
        own = output.gather(0, self.targets.expand(1, *output.shape[1:])).squeeze(0)
        return (own == output.amax(dim=0)) & (own > (output + self.later).amax(dim=0))

    def _accuracies(self, hits: Tensor | None, runs: int) -> dict[str, list[Any]]:
        if hits is None or self.own is None:
            return {name: [None] * runs for name in ACCURACIES}
        share = hits.double().mean(dim=1)
        each, of_devices = share[:-runs].view(runs, -1), hits[:-runs].view(runs, -1, hits.shape[1])
        return {
            "accuracy_mean": each.mean(dim=1).tolist(),
            "accuracy_min": each.amin(dim=1).tolist(),
            "accuracy_of_average": share[-runs:].tolist(),
            "accuracy_devices": each.tolist(),
            **{name: means_within(of_devices, where) for name, where in self.kinds.items()},
        }


def average_models(x: Tensor) -> Tensor:
    """(R, 1, P) the mean over devices of (R, K, P), float64."""
    total = torch.zeros(len(x), x.shape[2], dtype=torch.float64, device=x.device)
    for some in torch.split(x, DEVICES_AT_ONCE, dim=1):
        total += torch.sum(some, dim=1, dtype=torch.float64)
    return (total / x.shape[1])[:, None]


def means_within(hits: Tensor, where: Tensor) -> list[float] | list[None]:
    """Mean over devices of the share of hits (R, K, T) among `where` (K, T); None if no device has any such sample."""
    count = where.sum(dim=1)
    share = (hits & where).sum(dim=2).double() / count
    return share[:, count > 0].mean(dim=1).tolist() if bool((count > 0).any()) else [None] * len(hits)


def rms_distances(x: Tensor, points: Tensor) -> list[float]:
    """sqrt(mean_k ||x_k - point||^2) of R runs, x (R, K, P), from points that broadcast against x.

    About the average model: the consensus distance (Kong et al. 2021).
    """
    runs, rows = (max(1, ROW_VALUES // part.numel()) for part in (x[0], x[0, 0]))
    points = points.expand(len(x), 1, -1)
    squares = []  # a few rows at a time: no second R x K x P of doubles
    for some, about in zip(torch.split(x, runs), torch.split(points, runs), strict=True):
        few = (part.to(torch.float64, copy=True) for part in torch.split(some, rows, dim=1))
        squares.append(torch.cat([part.sub_(about).square_().sum(dim=2) for part in few], dim=1))
    return torch.cat(squares).mean(dim=1).sqrt().tolist()


def least_squares_optimum(inputs: np.ndarray, targets: np.ndarray, shards: list[np.ndarray], bias: bool) -> np.ndarray:
    """(P,) parameters [W, b] of the linear model that minimize the average over devices of their mean squared errors.

    Every device counts alike, whatever its share of the data. inputs (N, ...), targets (N, C); float64.
    """
    rows = inputs.reshape(len(inputs), -1).astype(np.float64)
    if bias:
        rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    scale = np.concatenate([np.full((len(shard), 1), len(shard) ** -0.5) for shard in shards])
    order = np.concatenate(shards)
    solution, *_ = np.linalg.lstsq(scale * rows[order], scale * targets[order].astype(np.float64))
    weights = solution[: rows.shape[1] - bias].T.reshape(-1)
    return np.concatenate([weights, solution[-1]]) if bias else weights
