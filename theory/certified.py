"""A learning rate below which nothing grows, whoever has which data: from the rule and W's least eigenvalue alone.

On the unit circle a mode z x = W P(z) x, W symmetric with eigenvalues in [-c, 1], has with y = P x / z, x = W y

    |x|^2 - (1 - c) Re x*y - c |y|^2 <= 0        (x - y)' (x + c y) <= 0
    Im x*y = 0                                   y* W y is real

P is diagonal in each device's eigenvectors, with factors p_i = P(z, a_i) / z; so there is no such mode where for some b

    u_i + b w_i > 0  for all i                   u = 1 - (1 - c) Re p - c |p|^2,   w = Im p

For dgd z x = W x - B x: no such mode where the convex hull of all z + B_i misses [l_min, 1], which is of the same form.
Nothing grows at small learning rates; so nothing grows up to the first eta a at which some z has no b. That is 2 / L
and (1 + l_min) / L without momentum (dgd: one step), and for heavy balls the like of it: for l_min >= 0 often the
onset itself to a percent. It is found on a grid of both. Our derivation; the method is that of robust control.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from theory.curvature import Array
from theory.rounds import Rule, local_step

SHARES, ANGLES = 800, 1000  # of eta a up to 2 (1 + mu), the bound of a device alone; and of z on the half circle
MARGIN = 0.995
FLAT = 1e-12


@lru_cache(maxsize=256)
def certified_share(rule: Rule, least: float) -> float:
    """eta (L + weight decay) below which nothing grows for reversible W with eigenvalues in [least, 1]; at least 0.

    Velocities kept or reset; `rule.lr` is not looked at.
    """
    shares = np.linspace(0, 2 * (1 + rule.momentum), SHARES + 1)
    circle = np.exp(1j * np.pi * np.linspace(0, 1, ANGLES + 1) ** 2)
    circle[-1] = -1
    step = local_step(shares, replace(rule, lr=1.0, weight_decay=0.0))
    kept = step[0, 0][:, None] + 0 * circle
    if rule.parts == 2:
        kept += (step[0, 1] * step[1, 0])[:, None] / (circle - step[1, 1][:, None])
    if rule.order == "dgd":
        points = circle + 1 - kept
        apart = _separable(points.real - 1, points.imag) | _separable(least - points.real, points.imag)
    else:
        points, other = kept / circle, max(0.0, -least)
        apart = _separable(1 - (1 - other) * points.real - other * np.abs(points) ** 2, points.imag)
    still = kept[:, 0].real  # z = 1 is where devices agree: there what is not learned at all may stay
    quiet = apart[:, 1:].all(axis=1) & ((still < 1) & (1 + max(0.0, -least) * still > 0) | (shares == 0))
    if rule.parts == 2:
        quiet &= np.abs(step[1, 1]) < 1
    last = len(shares) if quiet.all() else int(np.argmin(quiet))
    return float(MARGIN * shares[max(last - 1, 0)])


def _separable(above: Array, across: Array) -> NDArray[np.bool_]:
    """(shares, angles): whether one b makes above + b across > 0 for all shares up to this one."""
    across = np.where(np.abs(across) < FLAT, 0, across)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = above / np.abs(across)
    least = np.where(across > 0, -ratio, np.where((across == 0) & (above <= 0), np.inf, -np.inf))
    most = np.where(across < 0, ratio, np.inf)
    return np.asarray(np.maximum.accumulate(least, axis=0) < np.minimum.accumulate(most, axis=0))
