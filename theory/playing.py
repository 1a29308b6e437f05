"""Whether linearized devices grow, by playing rounds from a random state: many learning rates side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.curvature import Array, Curvature
from theory.rounds import Rule, local_step

PLAYED = 300  # rounds
GROWN = 0.05  # of the logarithm of a state's size, from one half of the rounds to the other
TINY = 1e-30  # size of a state that is gone


def play(
    curves: Curvature, stack: Array, rule: Rule, rates: ArrayLike, count: int = PLAYED
) -> tuple[NDArray[np.bool_], Array]:
    """(B,) whether a random state becomes larger, at each of B rates; and the states in the end, (B, parts, K, r).

    stack: (T, K, K), W of round after round. In single precision: what grows is orders of magnitude above rounding.
    What leaves its range in one round has grown, and its state is the last one within.
    """
    each = [replace(rule, lr=float(rate)) for rate in np.asarray(rates)]
    steps = np.stack([local_step(curves.values + rule.weight_decay, one) for one in each], axis=-1)
    outside = np.stack([local_step(np.array([[rule.weight_decay]]), one) for one in each], axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):
        single = [array.astype(np.float32) for array in (steps - outside, outside, curves.vectors, stack)]
        return _play(single, rule, len(each), count)


def _play(single: list[NDArray[np.float32]], rule: Rule, rates: int, count: int) -> tuple[NDArray[np.bool_], Array]:
    """single: what a learning phase multiplies by along directions, and outside of them; directions; W."""
    gain, idle, vectors, mixings = single
    devices, size, _ = vectors.shape
    turned = np.ascontiguousarray(vectors.transpose(0, 2, 1))
    begin = np.random.default_rng(0).standard_normal((rule.parts, devices, size, 1))
    state, burst, sizes = np.repeat(begin.astype(np.float32), rates, axis=-1), np.zeros(rates, dtype=bool), []
    for number in range(count):
        mixing, inner = mixings[number % len(mixings)], np.matmul(turned, state)
        learned = np.matmul(vectors, sum(gain[:, q] * inner[q] for q in range(rule.parts)))
        learned += sum(idle[:, q] * state[q] for q in range(rule.parts))
        if rule.order == "dgd":
            learned[0] += mixed(mixing, state[0]) - state[0]
        else:
            learned[0] = mixed(mixing, learned[0])
        if rule.velocity == "mixed" and rule.parts == 2:
            learned[1] = mixed(mixing, learned[1])
        norm = np.sqrt(np.einsum("pkrb,pkrb->b", learned, learned))
        burst |= ~np.isfinite(norm)
        norm = np.where(burst, 1, np.maximum(norm, TINY))
        state = np.where(burst, state, learned / norm)
        sizes.append(np.log(norm))
    third, last = np.array_split(np.cumsum(sizes, axis=0)[count // 3 :], 2)  # means of many rounds: sizes may swing
    grown = last.mean(axis=0, dtype=np.float64) - third.mean(axis=0, dtype=np.float64) > GROWN
    return burst | grown, np.moveaxis(state, -1, 0).astype(np.float64)


def mixed(weights: NDArray[np.float32], part: NDArray[np.float32]) -> NDArray[np.float32]:
    """W of (K, r, B): as `np.tensordot`, whose own preparations take longer."""
    return (weights @ part.reshape(len(part), -1)).reshape(part.shape)
