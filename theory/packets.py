"""Devices whose messages lose packets: each packet of parameters has a W_t of its own.

    theta_k <- sum_j W_t,p(i)[k, j] theta_j      for each parameter i, p(i) the packet that it travels in

Coefficients of samples would have to be kept packet by packet, with kernels Theta = sum_p Theta_p, (N C)^2 numbers
each: more than the slopes J themselves, for a packet of 362 numbers has fewer than most data have outputs. So here
devices are held by their parameters, and J is written out; learning still goes by the kernel. As much work as a run, or
more: it is for checking the run, not for saving it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from p2pl import registry
from p2pl.channel import PACKET_BYTES, packets_of
from p2pl.models.lazy import Lazy
from p2pl.registry import SpecError
from p2pl.scenario import Scenario
from theory.columns import Columns
from theory.expansion import Expansion, Samples
from theory.frame import Frame, Seen, Slots
from theory.jacobian import JACOBIANS, AnyModule

SAMPLES = 8  # whose slopes are taken together


def by_packets(scenario: Scenario, values: int) -> bool:
    """Whether messages of so many numbers may be heard in part."""
    parts = any(registry.failure.entry(one.name).traits.get("parts") for one in scenario.experiment.failures)
    return parts and packets_of(values * scenario.dtype.itemsize) > 1


class PacketFrame(Frame):
    """As `Frame`; slots are of parameters, (K, P): theta_k - theta_ref, velocities, theta_ref. No columns of values.

    memory: bytes for the slopes at all samples, ((N + T) C, P), beside the kernels. Raises SpecError if they do not do.
    """

    def __init__(
        self,
        scenario: Scenario,
        samples: Samples,
        expansion: Expansion,
        slots: Slots,
        continuous: bool,
        memory: int,
        under_way: Sequence[Slots] = (),
    ) -> None:
        nothing = {name: columns[:, :0] for name, columns in slots.items()}
        width = PACKET_BYTES // scenario.dtype.itemsize
        self._begin(scenario, samples, expansion, list(slots), continuous)
        self.train, self.test = Columns(slots, under_way, width), Columns(nothing, [], width)
        left = memory - expansion.gram.nbytes - expansion.cross.nbytes
        self.slopes, self.beyond = slopes(scenario, samples, expansion.linear.reference, left)

    def _own_values(self, name: str) -> Tensor:
        held, moved = enumerate(self.samples.held), self.train.slots[name].to(self.slopes.dtype)
        return torch.cat([self.slopes[own] @ moved[k] for k, own in held]).double()

    def at_train(self, gains: Tensor) -> Slots:
        narrow, held = gains.to(self.slopes.dtype), self.samples.held
        added = torch.stack([narrow[:, own] @ self.slopes[own] for own in held], dim=1).double()
        return dict(zip(self.gaining, added, strict=True))

    def at_test(self, gains: Sequence[Tensor]) -> Iterator[Slots]:
        yield from ({} for _ in gains)

    def seen(self) -> Seen:
        moved = self.train.slots["x"]
        return Seen(moved, (moved.to(self.slopes.dtype) @ self.slopes.T).double())

    def at_test_now(self, seen: Seen) -> Tensor:
        return (seen.coefficients.to(self.beyond.dtype) @ self.beyond.T).double()

    def disagreement(self, seen: Seen) -> float:
        apart = seen.coefficients - seen.coefficients.mean(dim=0)
        return float(apart.square().sum(dim=1).mean().sqrt())

    def parameters(self, coefficients: Tensor) -> Tensor:
        return self.expansion.linear.reference + coefficients

    def cut(self, memory: int) -> Frame:
        mean = self.train.slots["x"].mean(dim=0)
        reference = self.expansion.linear.reference + mean

        def turned(slots: Slots) -> Slots:
            moved = {name: part - mean if name in ("x", "before") else part for name, part in slots.items()}
            return moved | ({"origin": reference.expand_as(slots["x"])} if "origin" in slots else {})

        slots, under_way = turned(self.train.slots), [turned(one) for one in self.train.under_way]
        about = Expansion.about(self.scenario, self.samples, reference, self.expansion.anchors, memory)
        return PacketFrame(self.scenario, self.samples, about, slots, self.continuous, memory, under_way)


def slopes(scenario: Scenario, samples: Samples, reference: Tensor, memory: int) -> tuple[Tensor, Tensor]:
    """J at the training and at the test samples, (N C, P) and (T C, P), in the type of the run's numbers.

    memory: bytes. Raises SpecError if they do not do.
    """
    module, dtype, outputs = scenario.module, scenario.dtype, samples.outputs
    count, size = len(samples.train) + len(samples.test), len(reference)
    wanted = dtype.itemsize * outputs * size * (count + JACOBIANS * SAMPLES)
    if wanted > memory:
        raise SpecError(
            f"failures that lose parts of messages ({', '.join(one.name for one in scenario.experiment.failures)}) give"
            f" each part of the model weights of its own: the slopes of {size:,} parameters at {count:,} samples have"
            f" {wanted:,} bytes, and {max(memory, 0):,} are left: a smaller model, `samples` or `evaluation.samples`,"
            " more --memory, or failures of whole messages (links, bursts, churn) would do"
        )
    inner, scale = (module.module, module.alpha) if isinstance(module, Lazy) else (module, 1.0)
    form = AnyModule(inner, reference.to(dtype), samples.train[:1])

    def taken(inputs: Tensor) -> Tensor:
        found = torch.empty(len(inputs), outputs, size, dtype=dtype)
        for part, some in zip(torch.split(found, SAMPLES), torch.split(inputs, SAMPLES), strict=True):
            part.copy_(form.features(some)).mul_(scale)
        return found.flatten(0, 1)

    return taken(samples.train), taken(samples.test)
