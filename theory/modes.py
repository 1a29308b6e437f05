"""The slow modes of a round, and how far devices stand apart while the mean moves along them.

    rate           1 - eta lam + eta^2 sum_{l >= 2} l / (1 - l) ||sum_k pi_k phi_l(k) A_k v||^2       mean A v = lam v
    disagreement   sum_{l >= 2} (l / (1 - l))^2 ||sum_k pi_k phi_l(k) eta grad L_k||^2                after mixing

W = sum_l l phi_l (pi phi_l)', phi_l orthonormal under the stationary weights pi of a reversible W (pi = 1 / K where W
is symmetric); means are over pi. For dgd l / (1 - l) becomes 1 / (1 - l). The first term of a rate is centralized
gradient descent, the second the price of topology and heterogeneity together. With tau > 1 or momentum, eta A_k
becomes B_k = I - P_k, what one learning phase takes away; a velocity that is kept makes P_k depend on the rate z:

    P_k(z) = q_11 + q_12 q_21 / (z - q_22)     per eigenvalue, q the tau-th power of the local step of `theory.rounds`

Second-order perturbation theory, our derivation. It is for learning that is slow beside mixing: rates err by about the
square of eta L l_2 / (1 - l_2) (dgd: eta L / (1 - l_2), so that it errs by more), disagreement by up to twice that.
`theory.condensation` has no such limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from p2pl.registry import SpecError
from p2pl.spectrum import stationary
from theory.curvature import Array, Curvature
from theory.rounds import Rule, local_step, weights_of


@dataclass(frozen=True)
class Modes:
    """The modes of the mean, slowest first.

    first, second: (r,) factor of a round, to first and second order. vectors: (r, r), columns v.
    losses: (r,) v' mean(B) v, the curvature of a mode as one round sees it. Modes so fast that the heavy ball swings
    have no expansion: they shrink by mu^(tau / 2), which stands for `second`.
    """

    first: Array
    second: Array
    vectors: Array
    losses: Array


def slow_modes(curvature: Curvature, weights: ArrayLike, rule: Rule) -> Modes:
    """The modes that start from the mean of the devices. Raises SpecError for what has no such expansion.

    That is: weights that are not reversible or leave devices apart, a list of weights, and velocities that are mixed.
    """
    if rule.velocity == "mixed" and rule.momentum:
        raise SpecError("slow modes: velocities that are mixed are not covered; growth_onset covers them")
    values, shapes, shares = reversible(weights, curvature.devices)
    losses = removed(curvature.values, rule, 1.0)
    mean = np.einsum("krm,km,ksm->rs", curvature.vectors, shares[:, None] * losses, curvature.vectors, optimize=True)
    idle = float(removed(np.zeros(1), rule, 1.0)[0])
    if idle:
        raise SpecError("slow modes: weight decay is not covered; growth_onset and fixed_point cover it")
    lost, vectors = np.linalg.eigh(mean)
    inner = np.matmul(curvature.vectors.transpose(0, 2, 1), vectors)  # (K, m, r)
    apart = np.matmul(curvature.vectors, losses[:, :, None] * inner)  # B_k v
    heard = np.einsum("kl,krv->lrv", shares[:, None] * shapes[:, 1:], apart, optimize=True)
    factor = (values[1:] if rule.order != "dgd" else 1.0) / (1 - values[1:])
    first = 1 - lost
    price = factor @ (heard**2).sum(axis=1)
    if rule.parts == 2:
        moved = removed(curvature.values[:, :, None], rule, first)
        lost = np.einsum("k,kmv,kmv->v", shares, moved, inner**2, optimize=True)
    swinging = rule.momentum ** (rule.steps / 2) if rule.parts == 2 else -np.inf
    second = np.where(first > swinging, 1 - lost + price, swinging)
    return Modes(first, second, vectors, 1 - first)


def removed(values: Array, rule: Rule, rate: Array | float) -> Array:
    """1 - P(rate): the share that one learning phase takes away along eigenvalues `values`, in a mode of that rate."""
    step = local_step(values + rule.weight_decay, rule)
    kept = step[0, 0]
    if rule.parts == 2:
        kept = kept + step[0, 1] * step[1, 0] / (rate - step[1, 1])
    return np.asarray(1 - kept)


def reversible(weights: ArrayLike, devices: int) -> tuple[Array, Array, Array]:
    """l (K,) falling, phi (K, K) in columns, and pi (K,) of a reversible W; phi' diag(pi) phi = I and phi_1 = 1.

    Raises SpecError if W is a list of several, not reversible (p2pl, metropolis and uniform weights on undirected
    graphs are), or leaves devices apart.
    """
    stack = weights_of(weights, devices)
    if len(stack) > 1:
        raise SpecError("this expansion is for one W; give the expectation of a list, or use growth_onset")
    shares = stationary(stack[0])
    root = np.sqrt(shares)
    turned = root[:, None] * stack[0] / root
    if not np.allclose(turned, turned.T, rtol=0, atol=1e-10):
        raise SpecError("this expansion needs reversible weights, such as p2pl or metropolis on an undirected graph")
    values, vectors = np.linalg.eigh((turned + turned.T) / 2)
    values, vectors = values[::-1], vectors[:, ::-1]
    if len(values) > 1 and values[1] > 1 - 1e-12:
        raise SpecError("these weights leave devices apart: they have no common mean")
    vectors[:, 0] *= np.sign(vectors[0, 0])
    return values, vectors / root[:, None], shares


def disagreement(weights: ArrayLike, displacements: Array, order: str = "atc") -> float:
    """sum_k pi_k ||x_k - mean||^2 after mixing, while the mean moves slowly.

    displacements: (K, ...), what the last learning phase added to each device, lr grad L_k for one step; taken at the
    mean, this errs by a factor of up to (1 + X)^2, X = lr L max |l / (1 - l)|: `theory.condensation.settled` has better
    ones. The floor, where devices end, is this with the gradients at the fixed point: nothing, where they all vanish.
    """
    values, shapes, shares = reversible(weights, len(displacements))
    flat = displacements.reshape(len(displacements), -1)
    heard = (shares[:, None] * shapes[:, 1:]).T @ flat
    factor = (values[1:] if order != "dgd" else 1.0) / (1 - values[1:])
    return float((factor**2) @ (heard**2).sum(axis=1))


def rounds_to(modes: Modes, start: Array, epsilon: float, order: int = 2) -> float:
    """The first round at which the loss of the mean model is `epsilon` times that at the start; infinite if never.

    start: (r,) the mean's first error in the coordinates of the features. The loss is that of the devices' mean:
    sum_i losses_i (v_i' start)^2 rate_i^(2 t).
    """
    rates = np.abs(modes.second if order == 2 else modes.first)
    parts = modes.losses * (modes.vectors.T @ start) ** 2
    goal = epsilon * parts.sum()
    if parts[rates >= 1].sum() > goal:
        return np.inf
    low, high = 0, 1
    while parts @ rates ** (2.0 * high) > goal:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parts @ rates ** (2.0 * middle) > goal else (low, middle)
    return float(high)
