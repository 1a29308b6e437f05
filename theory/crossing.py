"""Where a mode that grows began to: where its eigenvalue crosses the unit circle, by Newton's method.

    det [ I + (R(z) o V'V) b(z) ] = 0        z an eigenvalue of the round; V'V: the kernel between devices' directions
    b = p - P                                p, P(z): factors of a learning phase outside of, and along, directions
    R = (z - p W)^-1 W                       atc, cta;   dgd: (z + 1 - p - W)^-1

of the size of the kernel, not of the models of K devices, and without the slow modes that crowd at z = 1 and that power
and Arnoldi methods have to tell a weak growth from. Both z = exp(i w) and the learning rate are sought at once; at a
given learning rate z alone, which makes estimates of slow modes exact (`rate`). For one reversible W, and velocities
that are not mixed. Our derivation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from p2pl.registry import SpecError
from theory.curvature import Array, Curvature
from theory.modes import reversible
from theory.rounds import Rule, local_step

Complex = NDArray[np.complex128]
STEP = 1e-7  # of finite differences
PULLED = 0.05  # step in the logarithm of the eigenvalue's modulus, to the unit circle
FURTHEST = 0.1  # step in the logarithm of the learning rate
TURNS = 80
PRECISION = 1e-6  # of a step; the next would be its square
EXACT = 1e-12
POLE = 1e-9


@dataclass(frozen=True)
class Crossings:
    """values: l (K,). shapes: (K, K), sqrt(pi) phi. gram: (K, m, K, m), V'V."""

    curvature: Curvature
    rule: Rule
    values: Array
    shapes: Array
    gram: Array

    @classmethod
    def of(cls, curvature: Curvature, stack: Array, rule: Rule) -> Crossings | None:
        """None for a round that this does not cover."""
        if rule.velocity == "mixed" and rule.parts == 2:
            return None
        try:
            values, shapes, shares = reversible(stack, curvature.devices)
        except SpecError:
            return None
        devices, size, each = curvature.vectors.shape
        along = curvature.vectors.transpose(0, 2, 1).reshape(-1, size)
        gram = (along @ along.T).reshape(devices, each, devices, each)
        return cls(curvature, rule, values, np.sqrt(shares)[:, None] * shapes, gram)

    def matrix(self, z: complex, lr: float) -> Complex:
        """(K m, K m), singular where z is an eigenvalue of the round at a learning rate."""
        kept, idle = self.factors(self.curvature.values, z, lr), self.factors(np.zeros(1), z, lr)
        dgd = self.rule.order == "dgd"
        stays = 1 / (z + 1 - idle - self.values) if dgd else self.values / (z - idle * self.values)
        between = (self.shapes * stays) @ self.shapes.T
        out = (between[:, None, :, None] * self.gram * (idle - kept)).reshape(kept.size, kept.size)
        out[np.diag_indices(kept.size)] += 1
        return np.asarray(out)

    def factors(self, values: Array, z: complex, lr: float) -> Complex:
        """What a learning phase multiplies parameters by along curvatures `values`, in a mode of eigenvalue z."""
        step = local_step(values + self.rule.weight_decay, replace(self.rule, lr=lr))
        kept = step[0, 0].astype(complex)
        if self.rule.parts == 2:
            kept += step[0, 1] * step[1, 0] / (z - step[1, 1])
        return np.asarray(kept)

    def onset(self, z: complex, lr: float) -> float:
        """Where the mode that has the eigenvalue z, |z| > 1, at `lr` begins to grow; nan if that is not found.

        f = 1 / (left' matrix^-1 right) is zero where the matrix is singular, and smooth nearby.
        """
        left, right = self.noise()
        angle, radius, first = float(np.angle(z)), abs(z), lr
        for _ in range(TURNS):
            here = radius * np.exp(1j * angle)
            if abs(here - 1) < POLE:  # where devices agree; no mode crosses there
                return math.nan
            slopes, left, right = self.slopes(here, lr, left, right)
            radius, before = max(1.0, radius * math.exp(-PULLED)), radius
            turned = slopes[1] * 1j * here  # f by the angle; by the radius it is slopes[1] here / |here|
            wanted = -slopes[0] - slopes[1] * here / before * (radius - before)
            jacobian = np.array([[turned.real, slopes[2].real], [turned.imag, slopes[2].imag]])
            try:
                angle_step, step = np.linalg.solve(jacobian, [wanted.real, wanted.imag])
            except np.linalg.LinAlgError:
                return math.nan
            angle, lr = angle + angle_step, lr * math.exp(np.clip(step, -FURTHEST, FURTHEST))
            if radius == before and abs(step) < PRECISION:
                opens = (-(slopes[2] / slopes[1]) * here.conjugate()).real > 0  # and is not the upper end of a band
                return lr if opens and lr <= first else math.nan
        return math.nan

    def rate(self, z: complex, lr: float) -> complex:
        """The eigenvalue that Newton's method finds from an estimate z of one at `lr`, exact to rounding; or nan.

        Where modes are closer than their estimates are right, two estimates may find the same one: `theory.counted`
        leaves none out.
        """
        left, right = self.noise()
        for _ in range(TURNS):
            (value, by_z, _), left, right = self.slopes(z, lr, left, right)
            z -= value / by_z
            if abs(value / by_z) < EXACT:
                return z
        return complex(math.nan)

    def noise(self) -> tuple[Complex, Complex]:
        """Where the search for singular vectors begins."""
        left, right = np.random.default_rng(0).standard_normal((2, self.curvature.values.size)).astype(complex)
        return left, right

    def slopes(
        self, z: complex, lr: float, left: Complex, right: Complex
    ) -> tuple[tuple[complex, complex, complex], Complex, Complex]:
        """f, df / dz and df / d log(lr); and left and right, nearer to the singular vectors."""
        matrix = self.matrix(z, lr)
        factored = scipy.linalg.lu_factor(matrix)
        for _ in range(2):
            column, row = scipy.linalg.lu_solve(factored, right), scipy.linalg.lu_solve(factored, left, trans=1)
            left, right = column.conj() / np.linalg.norm(column), row.conj() / np.linalg.norm(row)
        column, row = scipy.linalg.lu_solve(factored, right), scipy.linalg.lu_solve(factored, left, trans=1)
        value = 1 / (left @ column)
        moved = (self.matrix(z + STEP, lr), self.matrix(z, lr * (1 + STEP)))
        by_z, by_rate = (value**2 * (row @ ((other - matrix) @ column)) / STEP for other in moved)
        return (complex(value), complex(by_z), complex(by_rate)), left, right
