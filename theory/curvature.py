"""What each device's loss says of the parameters that matter: the curvatures A_k, from one kernel.

    Theta = Phi Phi'          Phi (rows, r): features, one row for each training sample and output
    A_k   = g_k Phi_k' Phi_k  the Hessian of device k's squared loss; g_k = 2 / (n_k C) for torch's MSELoss

In the coordinates of Phi the linearized networks are linear models with r parameters, however many parameters the
network has, and everything that `theory.spectrum` says is said of (A_1, ..., A_K), W and the rule of the round.

Our derivation. An isotropic kernel (Theta = Th kron I_C) may be given as Th itself, with samples for rows: every
eigenvalue then stands for C of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from p2pl.registry import SpecError

Array = NDArray[np.float64]
NEGLIGIBLE = 1e-13  # of the largest eigenvalue: below it, an eigenvalue of a float64 kernel is rounding


@dataclass(frozen=True)
class Curvature:
    """The eigendecompositions of A_1, ..., A_K, thin: A_k = vectors[k] diag(values[k]) vectors[k]'.

    values: (K, m), padded with zeros (and zero vectors) where devices have fewer. vectors: (K, r, m). features:
    (rows, r), Phi. rows: K arrays, the rows of Phi that each device has. gains: (K,), g_k.
    bases: where only leading directions are kept, (rows of k, keep) a device; `rows` then count those directions.
    origin: the rows of the kernel that each device had.
    """

    values: Array
    vectors: Array
    features: Array
    rows: tuple[NDArray[np.int64], ...]
    gains: Array
    bases: tuple[Array, ...] | None
    origin: tuple[NDArray[np.int64], ...]

    @property
    def devices(self) -> int:
        return len(self.values)

    @property
    def size(self) -> int:
        """r, how many coordinates the model of one device has."""
        return int(self.vectors.shape[1])

    @property
    def largest(self) -> float:
        """L, the largest curvature of any device."""
        return float(self.values.max())

    def projected(self, residual: ArrayLike) -> Array:
        """What is kept of a residual (rows of the kernel,), along the rows of `features`."""
        values = np.asarray(residual, dtype=np.float64)
        if self.bases is None:
            return values
        return np.concatenate([basis.T @ values[part] for basis, part in zip(self.bases, self.origin, strict=True)])

    def coordinates(self, residual: ArrayLike) -> Array:
        """(r,) x with features x = residual, where it can be, by least squares elsewhere: the interpolating x*."""
        return np.asarray(self.features.T @ self.projected(residual) / (self.features**2).sum(axis=0))


def curvature(theta: ArrayLike, rows: Sequence[ArrayLike], gains: ArrayLike, keep: int | None = None) -> Curvature:
    """The devices' curvatures from the kernel of all training rows.

    theta: (rows, rows), symmetric and positive semi-definite. rows: K arrays of row numbers. gains: (K,).
    keep: of each device's residual only the `keep` directions of largest curvature; all of them if None. Raises
    SpecError for shapes that do not fit and for a device without rows.
    """
    theta = np.asarray(theta)
    parts = tuple(np.asarray(part, dtype=np.int64) for part in rows)
    scale = np.broadcast_to(np.asarray(gains, dtype=np.float64), (len(parts),))
    _check(theta, parts, scale)
    origin, bases = parts, None
    if keep is not None:
        own = (theta[np.ix_(part, part)].astype(np.float64) for part in parts)
        bases = tuple(np.linalg.eigh(kernel)[1][:, -keep:] for kernel in own)
        theta, parts = compressed(theta, parts, bases)
    theta = theta.astype(np.float64, copy=False)
    features = features_of(theta)
    blocks = [np.linalg.eigh(theta[np.ix_(part, part)]) for part in parts]
    width = max(map(len, parts))
    values, vectors = np.zeros((len(parts), width)), np.zeros((len(parts), features.shape[1], width))
    for k, (part, (spectrum, basis)) in enumerate(zip(parts, blocks, strict=True)):
        real = spectrum > NEGLIGIBLE * spectrum[-1]
        count = int(real.sum())
        values[k, :count] = scale[k] * spectrum[real]
        vectors[k, :, :count] = features[part].T @ (basis[:, real] / np.sqrt(spectrum[real]))
    return Curvature(values, vectors, features, parts, scale, bases, origin)


def features_of(theta: Array) -> Array:
    """Phi (rows, r) with Phi Phi' = theta, r its rank; columns by falling norm."""
    values, vectors = np.linalg.eigh(theta)
    real = values > NEGLIGIBLE * values[-1]
    return np.asarray((vectors[:, real] * np.sqrt(values[real]))[:, ::-1])


def compressed(
    theta: NDArray[np.floating], rows: tuple[NDArray[np.int64], ...], bases: tuple[Array, ...]
) -> tuple[Array, tuple[NDArray[np.int64], ...]]:
    """The kernel between directions of the devices' residuals, bases[k] (rows of k, d_k), and which are whose."""
    pairs = list(zip(rows, bases, strict=True))
    turned = np.concatenate([theta[part].astype(np.float64).T @ basis for part, basis in pairs], axis=1)
    small = np.concatenate([basis.T @ turned[part] for part, basis in pairs])
    ends = np.cumsum([basis.shape[1] for basis in bases])
    return (small + small.T) / 2, tuple(np.split(np.arange(ends[-1]), ends[:-1]))


def _check(theta: NDArray[np.floating], rows: tuple[NDArray[np.int64], ...], gains: Array) -> None:
    if theta.ndim != 2 or theta.shape[0] != theta.shape[1]:
        raise SpecError(f"theta: expected a square kernel (rows, rows), got shape {theta.shape}")
    for k, part in enumerate(rows):
        if not len(part):
            raise SpecError(f"device {k} has no training rows: there is no curvature to speak of")
        if part.min() < 0 or part.max() >= len(theta):
            raise SpecError(f"device {k} has rows outside 0..{len(theta) - 1}, the kernel's")
    if not (gains > 0).all():
        raise SpecError(f"gains: expected numbers above 0, one a device, got {gains.tolist()}")
