"""The slow modes of a round, all of them: counted, so that none is passed over.

    W - B(z) - z  (dgd)      W - z P(z)^-1  (atc, cta)          singular where z is an eigenvalue of the round
    modes above z  =  r #{l > z}  -  #{negative eigenvalues of T(z)}       T = I + sqrt(b) (R(z) o V'V) sqrt(b)

with P, b, R and V of `theory.crossing`. For real z these matrices are symmetric, those on the left fall as z rises, and
so each of their eigenvalues passes zero once: as many are positive as there are modes above z (Sylvester's law of
inertia). T is their Schur complement on what is learned, of the size of the kernel (Haynsworth). Between two
eigenvalues of W each eigenvalue of T is continuous, and where the one that counts the j-th mode is zero, there it is.

They fall, for dgd, where P' < 1 in every direction: where a velocity that is kept makes no mode swing; for atc and cta
where P and z / P are positive and the latter rises. If not, what lies along eigenvectors of W with negative
eigenvalues, the least of them -c, may be eliminated, for on the others W^-1 is at least 1: P' (1 + c t) + t < 1
will do, t = c (spread of P / 2 z)^2, or more where P is negative. Where nothing does the search ends. Our derivation.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.linalg
import scipy.optimize
from numpy.typing import ArrayLike

from p2pl.registry import SpecError
from theory.crossing import Crossings
from theory.curvature import Array, Curvature
from theory.rounds import Rule, local_step, weights_of

BESIDE = 1e-8  # of an eigenvalue of W: what is so near counts as that
LEAST = 1e-3  # factors of a round that are sought
HALVINGS = 60


def slowest_modes(curvature: Curvature, weights: ArrayLike, rule: Rule, count: int) -> Array:
    """The `count` largest real factors of a round at `rule.lr`, falling, each as often as it occurs.

    To rounding, or where an eigenvalue of W is nearer than BESIDE to that. Fewer, if further down modes swing or
    factors are below LEAST. Raises SpecError for weights that are not reversible or leave devices apart, velocities
    that are mixed, weight decay, and learning rates past what a device alone can bear.
    """
    known = Crossings.of(curvature, weights_of(weights, curvature.devices), rule)
    if known is None or rule.weight_decay:
        raise SpecError("modes are counted for one reversible W, without mixed velocities and weight decay")
    return Counted(known).slowest(count)


@dataclass(frozen=True)
class Counted:
    """Modes of `known` at its rule's learning rate."""

    known: Crossings

    def slowest(self, count: int) -> Array:
        """See `slowest_modes`."""
        found: list[float] = []
        ends, above = self._ends(self.least()), 0  # nothing grows where counting holds
        for place, (high, low) in enumerate(pairwise(ends)):
            below, around = self.above(low), place % 2 == 0  # around an eigenvalue of W, or between two
            for number in range(above + 1, min(below, count) + 1):
                found.append((high + low) / 2 if around else self._mode(number, low, high))
            above = below
            if above >= count:
                break
        return np.array(found)

    def above(self, z: float) -> int:
        """How many modes are above z, which is no eigenvalue of W."""
        negative = int(np.sum(scipy.linalg.eigvalsh(self.matrix(z)) < 0))
        return self._mixing(z) - negative

    def matrix(self, z: float) -> Array:
        """(K m, K m), T. Raises SpecError where more is learned than there is."""
        known = self.known
        lost = 1 - known.factors(known.curvature.values, z, known.rule.lr).real
        if (lost < 0).any():
            raise SpecError("modes are not counted at a learning rate past what a device alone can bear")
        root, values = np.sqrt(lost), known.values
        stays = (1.0 if known.rule.order == "dgd" else values) / (z - values)
        between = (known.shapes * stays) @ known.shapes.T
        out = (root[:, :, None, None] * between[:, None, :, None] * known.gram * root).reshape(root.size, root.size)
        out[np.diag_indices(root.size)] += 1
        return np.asarray(out)

    def least(self) -> float:
        """The least z, to rounding, above which modes are counted; 1 if it is not below."""
        low, high = LEAST, 1.0
        if self._falls(low):
            return low
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._falls(middle) else (middle, high)
        return high

    def _falls(self, z: float) -> bool:
        """Whether the matrices of the module's docstring fall from z on."""
        rule, curves = self.known.rule, np.append(self.known.curvature.values.ravel(), 0.0)
        step = local_step(curves, rule)
        kept, slope = step[0, 0], np.zeros_like(curves)
        if rule.parts == 2:
            if (z <= step[1, 1]).any():
                return False
            passed = step[0, 1] * step[1, 0] / (z - step[1, 1])
            kept, slope = kept + passed, -passed / (z - step[1, 1])
        if rule.order == "dgd":
            return bool((slope < 1).all())
        every = np.concatenate([kept, step[0, 0]])  # from here on kept is between the two
        if (every > 0).all() and (kept > z * slope).all():
            return True
        negative = max(0.0, -float(self.known.values[-1]))
        room = z + negative * min(0.0, every.min())
        turned = negative * ((every.max() - every.min()) / (2 * room)) ** 2
        return bool(room > 0 and max(0.0, slope.max()) * (1 + negative * turned) + turned < 1)

    def _mixing(self, z: float) -> int:
        return self.known.curvature.size * int(np.sum(self.known.values > z))

    def _mode(self, number: int, low: float, high: float) -> float:
        """The mode of that number, between two eigenvalues of W."""
        index = self._mixing((low + high) / 2) - number
        every = [index, index]

        def counts(z: float) -> float:
            return float(scipy.linalg.eigvalsh(self.matrix(z), subset_by_index=every)[0])

        return float(scipy.optimize.brentq(counts, low, high, xtol=1e-15, rtol=1e-14))

    def _ends(self, least: float) -> list[float]:
        """Falling: either side of eigenvalues of W, and least; only that, if it is 1."""
        ends: list[float] = []
        for value in self.known.values[self.known.values > least + BESIDE]:
            if ends and ends[-1] < value + 2 * BESIDE:
                ends[-1] = value - BESIDE
            else:
                ends += [value + BESIDE, value - BESIDE]
        return [*ends, least]
