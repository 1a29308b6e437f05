"""Slow modes and disagreement where learning is not slow beside mixing: what `theory.modes` expands, summed up.

    z x = W P(z) x    (dgd: W x - B(z) x)     B = I - P = V b V', V_k b_k V_k' on device k: what learning takes away
    1 - z = decay of  S(z) = H' T^-1 H        H = sqrt(b) V',  T = I + X,  X = sqrt(b) (R(z) o V'V) sqrt(b)
    R(z) = sum_{l < 1} l / (z - l) phi phi'   (dgd: 1 / (z - l)) how long what devices differ by stays with them

exactly: the Schur complement on what devices have in common, of the size of the kernel and not of K models. At z = 1
and with T^-1 = I - X it is the second order of `theory.modes`, which errs by X^2, where X is as large as
eta L l_2 / (1 - l_2), for dgd eta L / (1 - l_2). Here T is inverted, and z enters to first order,
(1 - z) (I + dS/dz) v = S v, both at 1: static condensation, as structural dynamics calls it. It is exact for modes that
are slow beside mixing, however large X is. Our derivation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike

from p2pl.registry import SpecError
from theory.curvature import Array, Curvature
from theory.modes import removed, reversible
from theory.rounds import Rule

STEP = 1e-6  # of the rate: for the slope of what a learning phase removes, where a velocity is kept


@dataclass(frozen=True)
class Condensed:
    """The modes of the mean, slowest first.

    rates: (r,) factor of a round. vectors: (r, r), columns v, of devices' mean. error: (r,) of the decays 1 - rate,
    relative, by its order of magnitude: ((1 - rate) (1 / (1 - l_2) + mu / (1 - mu)))^2, the square of how long mixing
    and the heavy ball remember, in time constants of the mode.
    """

    rates: Array
    vectors: Array
    error: Array


def condensed_modes(curvature: Curvature, weights: ArrayLike, rule: Rule) -> Condensed:
    """The modes that start from the mean of the devices. Raises SpecError where `theory.modes.slow_modes` does."""
    parts = _Parts.of(curvature, weights, rule)
    shared = np.sqrt(parts.shares).repeat(parts.each)[:, None] * parts.root[:, None] * parts.vectors
    pulled = scipy.linalg.solve(parts.between(1) + np.eye(len(shared)), shared, assume_a="sym")
    slope = pulled.T @ parts.between(2) @ pulled
    if rule.parts == 2:
        ahead, behind = (removed(curvature.values, rule, 1 + step).ravel() for step in (STEP, -STEP))
        gained = (ahead - behind) / (2 * STEP)
        slope += pulled.T @ (_over(gained, parts.root**2)[:, None] * pulled)
    still = shared.T @ pulled
    decays, vectors = scipy.linalg.eigh((still + still.T) / 2, np.eye(len(still)) + (slope + slope.T) / 2)
    memory = 1 / (1 - parts.second) + rule.momentum / (1 - rule.momentum)
    return Condensed(1 - decays, vectors, (decays * memory) ** 2)


def settled(curvature: Curvature, weights: ArrayLike, rule: Rule, displacements: Array) -> Array:
    """(K, r): what a learning phase adds to each device where devices have come to stand, while the mean moves slowly.

    displacements: (K, r) what it would add at the mean, in the coordinates of the features. To first order in
    eta L / (1 - l_2) the two are one; `theory.modes.disagreement` of these is right beyond it. How far apart they are
    says by how much that of the displacements at the mean errs.
    """
    parts = _Parts.of(curvature, weights, rule)
    felt = np.einsum("krm,kr->km", curvature.vectors, displacements).ravel()
    inner = scipy.linalg.solve(parts.between(1) + np.eye(len(felt)), _over(felt, parts.root), assume_a="sym")
    return np.asarray(np.einsum("krm,km->kr", curvature.vectors, (parts.root * inner).reshape(curvature.values.shape)))


@dataclass(frozen=True)
class _Parts:
    """vectors: (K m, r), V'. root: (K m,), sqrt(b). shares: pi. modes: (K, K - 1), sqrt(pi) phi, of W's `values`.

    left: what one mixing leaves of new differences, l, or 1 for dgd. each: m.
    """

    vectors: Array
    root: Array
    shares: Array
    modes: Array
    values: Array
    left: Array
    each: int

    @classmethod
    def of(cls, curvature: Curvature, weights: ArrayLike, rule: Rule) -> _Parts:
        if rule.velocity == "mixed" and rule.momentum:
            raise SpecError("condensed modes: velocities that are mixed are not covered; growth_onset covers them")
        if rule.weight_decay:
            raise SpecError("condensed modes: weight decay is not covered; growth_onset and fixed_point cover it")
        values, shapes, shares = reversible(weights, curvature.devices)
        lost = removed(curvature.values, rule, 1.0)
        if (lost < 0).any():
            raise SpecError("condensed modes: this learning rate is past what a device alone can bear")
        each = curvature.values.shape[1]
        return cls(
            vectors=curvature.vectors.transpose(0, 2, 1).reshape(-1, curvature.size),
            root=np.sqrt(lost).ravel(),
            shares=shares,
            modes=np.sqrt(shares)[:, None] * shapes[:, 1:],
            values=values[1:],
            left=np.ones_like(values[1:]) if rule.order == "dgd" else values[1:],
            each=each,
        )

    @property
    def second(self) -> float:
        """l_2."""
        return float(self.values.max(initial=0.0))

    def between(self, power: int) -> Array:
        """(K m, K m) sqrt(b) (sum_l left / (1 - l)^power phi phi' o V'V) sqrt(b)."""
        stays = (self.modes * (self.left / (1 - self.values) ** power)) @ self.modes.T
        stays = stays.repeat(self.each, axis=0).repeat(self.each, axis=1)
        return np.asarray(stays * (self.vectors @ self.vectors.T) * self.root[:, None] * self.root)


def _over(above: Array, below: Array) -> Array:
    """0 where there is nothing: devices are padded to the same number of directions."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
