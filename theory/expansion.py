"""An experiment's network about one point, and all the kernels that its dynamics need.

    theta_k = theta_ref + J^T c_k + E^T a_k        J: the samples' slopes, E: anchors

Anchors are the few directions that no sample spans: what sets a device's start apart from the reference (their mean),
and, under weight decay, the reference itself. A common start without weight decay has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from p2pl.losses import dense_targets
from p2pl.registry import SpecError
from p2pl.scenario import Scenario, tensors
from theory.kernel import ntk
from theory.linear import Linearized


@dataclass(frozen=True)
class Samples:
    """What is predicted of whom. train: rows of all devices' samples, device after device; owners' slices in `held`.

    targets: (N, C). held: of N C numbers, each device's. test: inputs. outputs: C.
    """

    train: Tensor
    targets: Tensor
    test: Tensor
    test_targets: Tensor
    held: list[slice]
    outputs: int

    @classmethod
    def of(cls, scenario: Scenario) -> Samples:
        known, shards, outputs = scenario.data, scenario.shards, scenario.data.classes
        rows, chosen = np.concatenate(shards), scenario.evaluated()
        train, targets = tensors(known.x_train[rows], known.y_train[rows], scenario.dtype)
        test, test_targets = tensors(known.x_test[chosen], known.y_test[chosen], scenario.dtype)
        ends = np.cumsum([0, *(len(shard) for shard in shards)]) * outputs
        held = [slice(int(begin), int(end)) for begin, end in pairwise(ends)]
        return cls(train, dense_targets(targets, outputs).double(), test, test_targets, held, outputs)


class Spectrum(NamedTuple):
    """Of a device's kernel between its own samples: (n C,), ascending, and (n C, n C), in float64.

    Found in the type of the run's numbers: in float32 twice as fast, and predicted losses the same to 1e-7.
    """

    eigenvalues: Tensor
    eigenvectors: Tensor


@dataclass(frozen=True)
class Expansion:
    """About `linear.reference`. N C training rows, T C test rows, M anchors.

    anchors: (M, P). gram: (N C + M, N C + M), products of all rows of [J; E]; cross: (N C + M, T C), with the slopes of
    the test samples: both of the type of the run's numbers. train_outputs, test_outputs: (N C,) and (T C,), of the
    network at the reference.
    """

    linear: Linearized
    samples: Samples
    anchors: Tensor
    gram: Tensor
    cross: Tensor
    train_outputs: Tensor
    test_outputs: Tensor

    @classmethod
    def about(cls, scenario: Scenario, samples: Samples, reference: Tensor, anchors: Tensor, memory: int) -> Expansion:
        """The kernels take no more than `memory` bytes, or SpecError says what would do."""
        linear, module, dtype = Linearized(scenario.module, reference), scenario.module, scenario.dtype
        rows, tested = (len(inputs) * samples.outputs for inputs in (samples.train, samples.test))
        wanted = dtype.itemsize * (rows + len(anchors)) * (rows + len(anchors) + tested)
        if wanted > memory:
            raise SpecError(
                f"the kernels of N = {len(samples.train):,} training and {len(samples.test):,} test samples of"
                f" C = {samples.outputs} outputs have {wanted:,} bytes, and {memory:,} are allowed: a smaller `samples`"
                " or `evaluation.samples`, or more --memory would do"
            )
        gram = ntk(module, reference, samples.train, samples.train, memory=memory, dtype=dtype)
        cross = ntk(module, reference, samples.train, samples.test, memory=memory - gram.nbytes, dtype=dtype)
        if len(anchors):
            border, beyond = (
                torch.stack([linear.push(anchor, inputs).reshape(-1) for anchor in anchors]).to(dtype)
                for inputs in (samples.train, samples.test)
            )
            corner = (anchors @ anchors.T).to(dtype)
            gram = torch.cat([torch.cat([gram, border.T], dim=1), torch.cat([border, corner], dim=1)])
            cross = torch.cat([cross, beyond])
        outputs = (linear.outputs(inputs).reshape(-1) for inputs in (samples.train, samples.test))
        return cls(linear, samples, anchors, gram, cross, *outputs)

    @cached_property
    def spectra(self) -> list[Spectrum]:
        """Device after device."""
        found = (torch.linalg.eigh(self.gram[held, held]) for held in self.samples.held)
        return [Spectrum(values.double(), vectors.double()) for values, vectors in found]

    def at_train(self, coefficients: Tensor) -> Tensor:
        """Values (..., N C + M) by all rows of [J; E] of coefficients (..., N C + M) of theta - theta_ref."""
        return (coefficients.to(self.gram.dtype) @ self.gram).double()

    def learned(self, gains: Tensor) -> Tensor:
        """The same (G, K, N C + M) of gains (G, N C), each device's at its own rows alone."""
        held, single = self.samples.held, gains.to(self.gram.dtype).numpy()
        values = np.empty((len(held), len(gains), len(self.gram)), single.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # what diverges does
            for own, out in zip(held, values, strict=True):
                np.matmul(single[:, own], self.gram[own].numpy(), out=out)  # of one row 1.3 times as fast as by torch
        return torch.from_numpy(values).transpose(0, 1)

    def at_test(self, coefficients: Tensor, rows: slice = slice(None)) -> Tensor:
        """The same at the test samples: (..., T C)."""
        return (coefficients.to(self.cross.dtype) @ self.cross[rows]).double()

    def displacement(self, coefficients: Tensor) -> Tensor:
        """theta - theta_ref, (B, P), of coefficients (B, N C + M): a vector-Jacobian product each."""
        of_samples, of_anchors = coefficients.tensor_split([coefficients.shape[1] - len(self.anchors)], dim=1)
        shape = (len(coefficients), -1, self.samples.outputs)
        pulled = self.linear.pull(of_samples.reshape(shape), self.samples.train)
        return pulled + of_anchors @ self.anchors


def start_of(starts: Tensor, weight_decay: float) -> tuple[Tensor, Tensor, Tensor]:
    """The reference (P,), the anchors (M, P), and the devices' coefficients of them (K, M), of starts (K, P).

    Under weight decay the reference is the first anchor.
    """
    unique, which = torch.unique(starts, dim=0, return_inverse=True)
    reference = starts[0].double() if len(unique) == 1 else starts.double().mean(dim=0)
    anchors = [reference[None]] if weight_decay else []
    if len(unique) > 1:
        anchors.append(unique.double() - reference)
    directions = torch.cat(anchors) if anchors else torch.zeros(0, len(reference), dtype=torch.float64)
    coefficients = torch.zeros(len(starts), len(directions), dtype=torch.float64)
    if len(unique) > 1:
        coefficients[torch.arange(len(starts)), which + bool(weight_decay)] = 1.0
    return reference, directions, coefficients
