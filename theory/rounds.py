"""One round of K linearized networks as a linear operator, and how fast it grows.

    local     (x, v) <- [[I - eta A_k, -eta mu I], [A_k, mu I]]^tau (x, v)      tau steps of heavy ball, full batches
                                                                                (A_k + d I with weight decay d)
    atc, cta  x <- W x          dgd   x <- W x_before + (x - x_before)           v kept, reset to zero, or mixed too

x (K, r) in the coordinates of `theory.curvature`. Per eigenvalue of A_k the local phase is one 2 x 2 matrix power, so
that tau costs nothing. ATC and CTA are one operator in a different order: they have the same spectrum. Our derivation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse.linalg as sparse
from numpy.typing import ArrayLike

from p2pl.registry import SpecError
from theory.curvature import Array, Curvature

DENSE = 300  # up to so many coordinates all eigenvalues are found at once
SUBSPACE = 60  # of Arnoldi's method: in one of 20 it does not tell weak growth from the slow modes beside it
RITZ, RESOLVED = 40, 1e-7  # steps of it from a state that has grown; by how much a modulus is above 1


@dataclass(frozen=True)
class Rule:
    """What a round does. velocity: `kept` from round to round, `reset` to zero, or `mixed` like the parameters."""

    lr: float
    steps: int = 1
    momentum: float = 0.0
    velocity: Literal["kept", "reset", "mixed"] = "kept"
    order: Literal["atc", "cta", "dgd"] = "atc"
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if not self.lr > 0 or self.steps < 1 or not 0 <= self.momentum < 1:
            raise SpecError("a rule needs lr > 0, steps >= 1 and 0 <= momentum < 1; got " + str(self))
        if self.velocity == "mixed" and self.order == "dgd":
            raise SpecError("dgd does not mix velocities: take velocity 'kept' or 'reset'")

    @property
    def parts(self) -> int:
        """2 where velocities are carried from round to round, else 1."""
        return 2 if self.momentum and self.velocity != "reset" else 1


class Round:
    """The linear part of one round (or of a period of rounds, one for each of `weights`), matrix-free.

    weights: W (K, K), or a list of them. A state is (parts, K, r): parameters, then velocities if they are carried.
    """

    def __init__(self, curvature: Curvature, weights: ArrayLike | Sequence[ArrayLike], rule: Rule) -> None:
        self.curvature, self.rule = curvature, rule
        self.weights = weights_of(weights, curvature.devices)
        self.shape = (rule.parts, curvature.devices, curvature.size)
        step = local_step(curvature.values + rule.weight_decay, rule)
        self.idle = local_step(np.array([rule.weight_decay]), rule)[..., 0]
        self.gain = step - self.idle[:, :, None, None]

    @property
    def period(self) -> int:
        return len(self.weights)

    def local(self, state: Array) -> Array:
        """The learning phase of (parts, K, r, B) states."""
        inner = np.matmul(self.curvature.vectors.transpose(0, 2, 1), state)
        moved = (self.gain[..., None] * inner).sum(axis=1)
        out: Array = np.matmul(self.curvature.vectors, moved)
        return out + np.tensordot(self.idle, state, 1)

    def __call__(self, state: Array, push: Array | float = 0.0) -> Array:
        """States (parts, K, r, B) after the rounds of one period. push: what each learning phase adds (see `push`)."""
        for weights in self.weights:
            learned = self.local(state) + push
            mixed = np.tensordot(weights, state[0] if self.rule.order == "dgd" else learned[0], 1)
            if self.rule.order == "dgd":
                mixed += learned[0] - state[0]
            velocity = learned[1:]
            if self.rule.velocity == "mixed" and self.rule.parts == 2:
                velocity = np.tensordot(weights, velocity[0], 1)[None]
            state = np.concatenate([mixed[None], velocity])
        return state

    def push(self, forces: Array) -> Array:
        """(parts, K, r, 1): the local phase from zero, of gradients A_k x - forces[k]; forces (K, r).

        A force is in the range of its A_k, or there is weight decay; so each eigenvalue has a point of rest.
        """
        curves = self.curvature.values + self.rule.weight_decay
        rest = np.einsum("krm,kr->km", self.curvature.vectors, forces)
        rest = np.divide(rest, curves, out=np.zeros_like(rest), where=curves > 0)[..., None]
        inside = np.matmul(self.curvature.vectors, rest)
        outside = 0.0 if not self.rule.weight_decay else forces[..., None] / self.rule.weight_decay
        if self.rule.weight_decay:
            held = np.matmul(self.curvature.vectors.transpose(0, 2, 1), forces[..., None])
            outside -= np.matmul(self.curvature.vectors, held) / self.rule.weight_decay
        still = np.zeros((*self.shape, 1))
        still[0] = inside + outside
        moved: Array = still - self.local(still)
        return moved

    def matrix(self) -> Array:
        """The operator written out: for small states."""
        size = int(np.prod(self.shape))
        return self(np.eye(size).reshape(*self.shape, size)).reshape(size, size)

    def dominant(
        self, start: Array | None = None, tolerance: float = 1e-6, restarts: int = 30
    ) -> tuple[complex, Array]:
        """The eigenvalue of largest modulus, of one period, and its eigenvector: by Arnoldi, or densely where small.

        start: where to begin, e.g. the eigenvector at a learning rate nearby. restarts: after so many of the method
        what has not been found counts as 0.
        """
        if int(np.prod(self.shape)) <= DENSE:
            values, vectors = np.linalg.eig(self.matrix())
        else:
            begin = np.random.default_rng(0).standard_normal(int(np.prod(self.shape))) if start is None else start
            values, vectors = self._leading(begin, tolerance, restarts)
            if not len(values):
                return 0j, begin
        return complex(values[k := int(np.abs(values).argmax())]), vectors[:, k]

    def growing(self, start: Array) -> list[complex]:
        """Estimates of eigenvalues of modulus above 1, without conjugates: all of them where small.

        Else they are the Ritz values of Arnoldi's method from `start`, a state after rounds that make it grow.
        """
        if start.size <= DENSE:
            values = np.linalg.eigvals(self.matrix())
        else:
            basis = np.zeros((RITZ + 1, start.size))
            small = np.zeros((RITZ + 1, RITZ))
            basis[0] = start.reshape(-1) / np.linalg.norm(start)
            for k in range(RITZ):
                basis[k + 1] = self(basis[k].reshape(*self.shape, 1)).reshape(-1)
                for _ in range(2):  # twice is enough for orthogonality
                    parts = basis[: k + 1] @ basis[k + 1]
                    basis[k + 1] -= parts @ basis[: k + 1]
                    small[: k + 1, k] += parts
                small[k + 1, k] = np.linalg.norm(basis[k + 1])
                basis[k + 1] /= small[k + 1, k]
            values = np.linalg.eigvals(small[:RITZ])
        return sorted((complex(z) for z in values if abs(z) > 1 + RESOLVED and z.imag >= 0), key=abs, reverse=True)

    def _leading(self, begin: Array, tolerance: float, restarts: int) -> tuple[Array, Array]:
        """Arnoldi's method; what it does not find in time is left out."""
        operator = sparse.LinearOperator(
            (begin.size, begin.size),
            dtype=np.float64,
            matvec=lambda x: self(x.reshape(*self.shape, 1)).reshape(-1),
        )
        how = {"which": "LM", "v0": begin, "tol": tolerance, "maxiter": restarts, "ncv": SUBSPACE}
        try:
            values, vectors = sparse.eigs(operator, k=1, **how)
        except sparse.ArpackNoConvergence as stopped:
            values, vectors = stopped.eigenvalues, stopped.eigenvectors
        return values, vectors


def local_step(values: Array, rule: Rule) -> Array:
    """(parts, parts, ...) the matrices of `steps` local steps, for curvatures `values` (...)."""
    one = np.empty((*values.shape, 2, 2))
    one[..., 0, 0], one[..., 0, 1] = 1 - rule.lr * values, -rule.lr * rule.momentum
    one[..., 1, 0], one[..., 1, 1] = values, rule.momentum
    power = np.linalg.matrix_power(one, rule.steps)
    return np.moveaxis(power, (-2, -1), (0, 1))[: rule.parts, : rule.parts]


def weights_of(weights: ArrayLike | Sequence[ArrayLike], devices: int) -> Array:
    """(T, K, K), from one matrix or a list of them. Raises SpecError unless each row sums to 1."""
    stack = np.asarray(weights, dtype=np.float64)
    stack = stack[None] if stack.ndim == 2 else stack
    if stack.ndim != 3 or stack.shape[1:] != (devices, devices):
        raise SpecError(f"weights: expected ({devices}, {devices}), or a list of such, got shape {stack.shape}")
    if not np.allclose(stack.sum(axis=2), 1, rtol=0, atol=1e-9):
        raise SpecError("weights: every row must sum to 1; the theory does not cover column-stochastic rules")
    return stack
