"""The learning rate at which linearized networks begin to grow, where they end, and how fast they agree.

    growth onset     the learning rate at which the spectral radius of the round's operator reaches 1
    sufficient       eta L < 2                (atc, cta: any row-stochastic W_t, any tau, no momentum)
                     eta L < 1 + l_min(W)     (dgd: symmetric W, tau = 1, no momentum)
    fixed point      x = M x + push;          every device at the interpolating x* where the whole kernel is > 0
    consensus time   ln(1 / eps) / -ln |l_2|

L is the largest curvature of any device. Squared loss, full batches; our derivation. Wide nets that are not lazy pass
the onset and may still converge (catapult): it is an onset of growth, not of divergence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse.linalg as sparse
from numpy.typing import ArrayLike

from p2pl.registry import SpecError
from p2pl.spectrum import slem
from theory.curvature import Array, Curvature
from theory.rounds import Round, Rule, weights_of

ARNOLDI, ROUNDING = 0.03, 0.3  # of the tolerance: how well eigenvalues are found, and what passes for no growth
WIDEN = 1.25
EVALUATIONS = 100
BAND, LOWEST = 1.08, 0.03  # steps of a scan, and where it ends, as a share of 2 (1 + mu) / L
SCANNED = 5  # restarts at each step of a scan: what grows within a band does so clearly
NOISE = 0.3  # beside the last mode, where a search begins: another one may have overtaken it
SOLVED_DENSELY = 3000


def growth_onset(
    curvature: Curvature,
    weights: ArrayLike | Sequence[ArrayLike],
    rule: Rule,
    tolerance: float = 1e-6,
    near: float | None = None,
    scan: bool = True,
) -> float:
    """The least learning rate at which the round grows, to a relative `tolerance`; `rule.lr` is not looked at.

    weights: (K, K), or a list of which one after another is used. near: where to look first, e.g. a neighbour's onset.
    scan: whether to look below what is found, in steps of BAND: growth may come in bands (a heavy ball over several
    steps comes round in phase with the mixing), and one that is narrower is missed. Without momentum nothing grows
    below 2 / L where weights are not negative, and the scan is short; with it, it is most of the work.

    Above the onset the growing mode stands apart, and Arnoldi's method is quick; below, slow modes crowd at 1 and say
    nothing. So the search comes down from above, by secants of (radius)^(1/tau), which is nearly linear in the rate,
    until the line through two growing rates is zero within the tolerance of the lower.
    """
    stack = weights_of(weights, curvature.devices)
    noise = np.random.default_rng(0).standard_normal(rule.parts * curvature.devices * curvature.size)
    begin = [noise]

    def excess(lr: float, restarts: int = 30) -> float:
        value, mode = Round(curvature, stack, replace(rule, lr=lr)).dominant(begin[0], ARNOLDI * tolerance, restarts)
        known = mode.real + mode.imag
        begin[0] = known / np.linalg.norm(known) + NOISE * noise / np.linalg.norm(noise)
        return float(abs(value) ** (1 / (rule.steps * len(stack))) - 1)

    alone = 2 * (1 + rule.momentum) / curvature.largest
    found = _descent(excess, alone if near is None else near, tolerance)
    lowest = alone if not rule.momentum and rule.order != "dgd" and (stack >= 0).all() else LOWEST * alone
    rate = found / BAND
    while scan and rate > lowest:
        if excess(rate, SCANNED) > ROUNDING * tolerance:
            found = rate = _descent(excess, rate / WIDEN, tolerance)
        rate /= BAND
    return found


def _descent(excess: Callable[[float], float], near: float, tolerance: float) -> float:
    """Where `excess` turns positive, by secants through its positive values; halving where they lead astray."""
    low, high, safe = 0.0, WIDEN * near, ROUNDING * tolerance
    while (grown := excess(high)) <= safe:
        low, high = high, high * WIDEN
    before, root = None, high / math.sqrt(WIDEN)
    for turn in range(EVALUATIONS):
        if before is not None and before[1] > grown:
            root = high - grown * (before[0] - high) / (before[1] - grown)
            if root >= high / (1 + tolerance / 2):
                return max(root, low)
        if high <= low * (1 + tolerance):
            break
        guess = root * (1 + tolerance / 4)
        if not low < guess < high or turn % 4 == 3:
            guess = math.sqrt(max(low, high / 2) * high)
        found = excess(guess)
        if found > safe:
            before, (high, grown) = (high, grown), (guess, found)
        else:
            low = guess
    return math.sqrt(low * high)


def sufficient_lr(curvature: Curvature, weights: ArrayLike, rule: Rule) -> float:
    """A learning rate below which no round grows, known without any search.

    atc, cta: 2 / L for row-stochastic weights, whatever they and tau are. dgd: (1 + l_min) / L for symmetric W and
    tau = 1. Raises SpecError where neither has been shown: with momentum, and for dgd with other W or tau.
    """
    if rule.momentum:
        raise SpecError("the sufficient learning rates are for momentum 0: use growth_onset")
    stack = weights_of(weights, curvature.devices)
    if rule.order != "dgd":
        if (stack < 0).any():
            raise SpecError("the sufficient learning rate needs weights of at least 0: use growth_onset")
        return 2 / curvature.largest
    if rule.steps > 1 or not np.allclose(stack, stack.transpose(0, 2, 1), rtol=0, atol=1e-12):
        raise SpecError("the sufficient learning rate of dgd is for symmetric weights and one step: use growth_onset")
    return float(1 + np.linalg.eigvalsh(stack).min()) / curvature.largest


def fixed_point(
    curvature: Curvature, weights: ArrayLike, rule: Rule, residual: ArrayLike, start: Array | None = None
) -> Array:
    """(K, r): where every device ends, in the coordinates of the features; `curvature.features @ x` is what they say.

    residual: (rows,), targets less the outputs at the initialization. start: (r,) the coordinates of the initial
    parameters themselves, which weight decay pulls to zero (needed with weight decay only). Where the kernel is
    positive definite and nothing decays all devices end at the interpolating x*, whatever W, tau, momentum and split.
    """
    turned = Round(curvature, weights, rule)
    values = curvature.projected(residual)
    parts = zip(curvature.gains, curvature.rows, strict=True)
    forces = np.stack([gain * curvature.features[part].T @ values[part] for gain, part in parts])
    if rule.weight_decay:
        if start is None:
            raise SpecError("weight decay pulls the initial parameters to zero: say where they are (start)")
        forces = forces - rule.weight_decay * start
    pushed = turned(np.zeros((*turned.shape, 1)), turned.push(forces)).reshape(-1)
    if pushed.size <= SOLVED_DENSELY:
        solution = np.linalg.solve(np.eye(pushed.size) - turned.matrix(), pushed)
    else:
        held = sparse.LinearOperator(
            2 * pushed.shape, matvec=lambda x: x.reshape(-1) - turned(x.reshape(*turned.shape, 1)).reshape(-1)
        )
        solution, failed = sparse.gmres(held, pushed, rtol=1e-12, atol=0, restart=200, maxiter=100)
        if failed:
            raise SpecError("the fixed point was not found: the slowest modes take more than 1e4 rounds")
    return np.asarray(solution.reshape(turned.shape)[0])


def consensus_time(weights: ArrayLike, epsilon: float) -> float:
    """Rounds of mixing alone after which disagreement has shrunk to `epsilon`; infinite if it never does."""
    stack = np.asarray(weights, dtype=np.float64)
    stack = stack[None] if stack.ndim == 2 else stack
    product = np.linalg.multi_dot([*stack[::-1], np.eye(len(stack[0]))]) if len(stack) > 1 else stack[0]
    rate = slem(product)
    if rate >= 1:
        return math.inf
    return 0.0 if rate == 0 else math.log(1 / epsilon) / -math.log(rate) * len(stack)
