"""K linear models that learn and mix, written out plainly: what the theory's operators are held against."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from p2pl.network import Network
from p2pl.registry import mixing
from theory.curvature import curvature
from theory.rounds import Rule

DEVICES, EACH, PARAMETERS = 5, 4, 24
ROWS = [np.arange(EACH * k, EACH * (k + 1)) for k in range(DEVICES)]


def weigh(name: str, rule: str = "metropolis", devices: int = DEVICES) -> np.ndarray:
    matrix: np.ndarray = mixing.call(rule, graph=Network(name, devices).at(0), sizes=np.ones(devices)).toarray()
    return matrix


def features(seed: int = 0, rows: int = DEVICES * EACH, parameters: int = PARAMETERS) -> np.ndarray:
    """Rows of a linear model with a common direction, and one of each device's own."""
    rng = np.random.default_rng(seed)
    own = np.repeat(rng.standard_normal((DEVICES, parameters)), rows // DEVICES, axis=0)
    return (rng.standard_normal((rows, parameters)) + own + 0.5 * rng.standard_normal(parameters)) / math.sqrt(rows)


def plain_round(
    phi: np.ndarray, weights: np.ndarray, rule: Rule, x: np.ndarray, v: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One round of K linear models on (x, v), both (K, P), step by step; the loss of a device is a mean of squares."""
    if rule.order == "cta":
        x = weights @ x
    before = x.copy()
    v = np.zeros_like(v) if rule.velocity == "reset" else v
    for _ in range(rule.steps):
        slopes = [2 / EACH * phi[rows].T @ (phi[rows] @ x[k] - y[rows]) for k, rows in enumerate(ROWS)]
        v = rule.momentum * v + np.stack(slopes) + rule.weight_decay * x
        x = x - rule.lr * v
    if rule.order == "dgd":
        return weights @ before + x - before, v
    if rule.velocity == "mixed":
        v = weights @ v
    return (weights @ x if rule.order == "atc" else x), v


def explicit(phi: np.ndarray, stack: list[np.ndarray], rule: Rule) -> np.ndarray:
    """The matrix of a period, column by column from `plain_round`."""
    size, columns = DEVICES * phi.shape[1], []
    for unit in np.eye(2 * size):
        x, v = unit.reshape(2, DEVICES, -1)
        for weights in stack:
            x, v = plain_round(phi, weights, rule, x, v, np.zeros(len(phi)))
        columns.append(np.concatenate([x.ravel(), v.ravel()]))
    return np.stack(columns, axis=1)


def radius(phi: np.ndarray, stack: list[np.ndarray], rule: Rule) -> float:
    return float(np.abs(np.linalg.eigvals(explicit(phi, stack, rule))).max())


def curves(phi: np.ndarray, **how: Any) -> Any:
    return curvature(phi @ phi.T, ROWS, 2 / EACH, **how)


RULES = [
    {"order": "atc"},
    {"order": "cta", "steps": 5},
    {"order": "dgd"},
    {"order": "dgd", "steps": 4, "momentum": 0.3},
    {"order": "atc", "momentum": 0.9},
    {"order": "atc", "steps": 2},
    {"order": "cta", "steps": 3, "momentum": 0.5, "velocity": "reset"},
    {"order": "atc", "steps": 2, "momentum": 0.6, "velocity": "mixed"},
]
