"""Whole learning phases of several devices at once, each one gain, along eigenvectors of their kernels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from p2pl.groups import Training
from theory.expansion import Expansion
from theory.local import Step, U, X
from theory.products import rows_times

NARROWEST = 0.75  # of the most samples among devices that go together: what is lacking is multiplied as zeros


class Alike:
    """Devices (G,) that take as many steps, each with all of their samples, which are about as many, n at most.

    residual: (N C,) at all devices' samples. there: as of `theory.local.Local`. kept: (N C,) coefficients of
    velocities, or None where these are slots. index: (G, n C) which of N C numbers are whose; N C for those that there
    are not.
    """

    def __init__(
        self,
        training: Training,
        expansion: Expansion,
        devices: Sequence[int],
        residual: Tensor,
        there: Sequence[int],
        continuous: bool,
        kept: Tensor | None,
    ) -> None:
        self.training, self.there, self.continuous, self.devices = training, list(there), continuous, list(devices)
        held, spectra = [expansion.samples.held[k] for k in devices], [expansion.spectra[k] for k in devices]
        sizes = [own.stop - own.start for own in held]
        shape, count = (len(devices), max(sizes)), len(residual)
        self.index = torch.full(shape, count)
        self.values, vectors = torch.zeros(shape).double(), torch.zeros(*shape, max(sizes)).double()
        for number, (own, size) in enumerate(zip(held, sizes, strict=True)):
            self.index[number, :size] = torch.arange(own.start, own.stop)
            self.values[number, :size], vectors[number, :size, :size] = spectra[number]
        self.slopes = (2 / torch.tensor(sizes).double()).repeat_interleave(max(sizes))
        self.basis = vectors.to(expansion.gram.dtype)  # in the type of the run's numbers, as all products are
        self.residual = (self.taken(residual[None])[:, :1] @ vectors)[:, 0]
        self.kept = None if kept is None else (self.taken(kept[None])[:, :1] @ vectors)[:, 0]
        self._powers: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def taken(self, numbers: Tensor) -> Tensor:
        """(G, S, n C) what these devices have of (S, N C)."""
        return F.pad(numbers, (0, 1))[:, self.index].transpose(0, 1)

    def give(self, numbers: Tensor, into: Tensor, some: Sequence[int]) -> None:
        """The inverse, of the devices number `some` of these: (g, S, n C), into (S, N C + 1), the last of nobody."""
        into[:, self.index[some]] = numbers.transpose(0, 1)

    def velocity(self) -> Tensor | None:
        """(G, 1, n C) the velocities that are kept, by samples."""
        return None if self.kept is None else self.kept[:, None] @ self.basis.double().transpose(1, 2)

    def learn(self, values: Tensor, steps: int, some: Sequence[int]) -> tuple[Tensor, Tensor]:
        """A phase of the devices number `some` of these, from all their slots' values (G, S, n C).

        The slots' map (S, S), and gains (g, 2, n C), of x and of velocities; of x alone where velocities are kept.
        """
        change, *given = self._power(steps)
        power, rest, basis, along, eigenvalues = (
            part if len(some) == len(part) else part[some] for part in (*given, self.basis, values, self.values)
        )
        along = rows_times(along.to(basis.dtype), basis).double()
        if self.kept is not None:
            speed, u = self.kept[some], self.there.index(U)
            along = torch.cat([along[:, :u], (eigenvalues * speed)[:, None], along[:, u:]], dim=1)
            rest = rest + torch.stack([change[X, u] * speed, change[u, u] * speed], dim=1)
        out = rest + (power * along[:, None]).sum(dim=2)
        if self.kept is not None:
            self.kept[some], out = out[:, 1], out[:, :1]
            slots = [place for place in range(len(change)) if place != u]
            change = change[slots][:, slots]
        return change, rows_times(out.to(basis.dtype), basis.transpose(1, 2)).double()

    def _power(self, steps: int) -> tuple[Tensor, Tensor, Tensor]:
        """Of a phase: the slots' map (S, S), both gains by the slots' values (G, 2, S, n C), and by r (G, 2, n C)."""
        if steps not in self._powers:
            given = self.values.flatten(), self.slopes
            if self.continuous:
                step = Step.flow(self.training, steps)
                change, whole = (torch.matrix_exp(one) for one in (step.map, step.with_data(*given)))
            else:
                step = Step.of(self.training, steps)
                change = torch.linalg.matrix_power(step.map, steps)
                whole = torch.linalg.matrix_power(step.with_data(*given), steps)
            power = whole[:, 5:, :5].reshape(*self.values.shape, 2, 5).permute(0, 2, 3, 1)
            rest = power[:, :, 4] * self.residual[:, None]
            self._powers[steps] = change[self.there][:, self.there], power[:, :, self.there].contiguous(), rest
        return self._powers[steps]


def groups(sizes: dict[int, tuple[int, int]]) -> list[list[int]]:
    """Devices that can go together. sizes: of each device its steps, and its samples."""
    found: list[list[int]] = []
    most = (0, 0)
    for device, (steps, samples) in sorted(sizes.items(), key=lambda item: item[1], reverse=True):
        if not found or most[0] != steps or samples < NARROWEST * most[1]:
            found.append([])
            most = steps, samples
        found[-1].append(device)
    return [sorted(some) for some in found]
