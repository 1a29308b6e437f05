"""A map of learning rates: the growth onset over topologies and ways to share the data out, from one kernel.

The onset is ruled by the few directions that each device sees most curvature in. So each way of sharing is reduced to
them once (`theory.curvature`, keep), and its eigendecompositions serve every topology. How much that errs depends on
the kernel: in a relu network of width 1024 on 256 MNIST images, 12 directions a device are within 0.1 % for tau = 1 and
5, and within 2 % for tau = 2 (with an even tau growth has the sign of what is slow, and what is left out matters more);
64 are within 0.1 % for tau = 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from theory.curvature import Array, curvature
from theory.onset import growth_onset
from theory.rounds import Rule

KEEP = 12  # directions a device


def onset_map(
    theta: ArrayLike,
    splits: Sequence[Sequence[ArrayLike]],
    weights: Sequence[ArrayLike],
    rule: Rule,
    outputs: int = 1,
    keep: int | None = KEEP,
    tolerance: float = 1e-3,
    scan: bool | None = None,
) -> Array:
    """(splits, weights): the learning rate at which each setting begins to grow, for torch's MSELoss.

    theta: (rows, rows). splits: for each way of sharing the data, K arrays of rows of theta. weights: W (K, K) each, or
    a list of those of one period. outputs: how many outputs a row of theta stands for: 1, or C for an isotropic kernel
    of samples. keep: directions a device, None for all. tolerance: relative, of each search. scan: see `growth_onset`;
    if None with momentum, for then growth may come in bands. Without, each search begins at the last onset.
    """
    theta = np.asarray(theta, dtype=np.float64)
    found = np.empty((len(splits), len(weights)))
    near: float | None = None
    for i, rows in enumerate(splits):
        gains = np.array([2 / (np.size(part) * outputs) for part in rows])
        model = curvature(theta, rows, gains, keep)
        for j, matrix in enumerate(weights):
            near = found[i, j] = growth_onset(
                model, matrix, rule, tolerance, near, bool(rule.momentum) if scan is None else scan
            )
    return found
