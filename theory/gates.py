"""Slopes of the last hidden layer between all pairs of outputs: sum_w v_c(w) v_e(w) g_n(w) g_m(w), with g = act'(z).

It is symmetric in c and e, and for a few samples n one matrix product with all m. Units whose g_n is the same at all of
these n, as it is at many where it can only be 0 or 1, are summed once for all of them: of ReLUs at eight digits of a
class or two, half.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from theory.products import pieces, times_transposed

ROWS = 440  # of a product: with fewer it is slower, with more fewer units are the same
STEP, SIDE = 128, 32  # numbers of units, and of samples m, are multiples: oneDNN makes code for each size, in .7 ms


def together(outputs: int) -> tuple[int, int]:
    """How many pairs of outputs there are, and how many samples n go together."""
    pairs = outputs * (outputs + 1) // 2
    return pairs, max(1, ROWS // pairs)


def held(samples: int, outputs: int, width: int) -> int:
    """Numbers in memory beside those of each sample: weights of pairs, these times slopes of a few, distances."""
    pairs, few = together(outputs)
    return min(pairs, ROWS) * width * (2 + 2 * min(samples, few)) + samples * (width + 3 * samples)


def sums_of_pairs(rows: Tensor, ours: Tensor, theirs: Tensor) -> Iterator[tuple[slice | Tensor, slice, Tensor]]:
    """A few samples n, samples m, and the sums (C, C, n, m) between these.

    rows: v (C, w). ours, theirs: g (N, w) and (M, w). m are all; or, where ours is theirs, at least those from the
    first n on, which then are neighbours in number: the others are the same by symmetry.
    """
    pairs, few = together(len(rows))
    first, second = torch.triu_indices(len(rows), len(rows))
    number = torch.empty(len(rows), len(rows), dtype=torch.int64)
    number[first, second] = number[second, first] = torch.arange(pairs)
    weights = rows[first] * rows[second] if pairs <= ROWS else None  # of many outputs that is more than the kernel
    room = min(pairs, ROWS) * min(few, len(ours)) * rows.shape[1]
    scaled = rows.new_empty(room)  # new memory for each product takes longer

    def between(ours: Tensor, theirs: Tensor) -> Tensor:
        if weights is not None:
            return sums(weights, ours, theirs, scaled)[number]
        parts = (rows[first[some]] * rows[second[some]] for some in pieces(pairs, ROWS))
        return torch.cat([sums(part, ours, theirs, scaled) for part in parts])[number]

    if ours is theirs:
        for part in pieces(len(ours), few):
            rest = slice(part.start // SIDE * SIDE, len(theirs))
            yield part, rest, between(ours[part], theirs[rest])
    else:
        for some in neighbours(ours, few):
            yield some, slice(None), between(ours[some], theirs)


def neighbours(slopes: Tensor, few: int) -> list[Tensor]:
    """The numbers of all samples (n, w), a few at a time: one, and those at which the fewest units switch."""
    on = (slopes != 0).float()
    common, left, found = on @ on.T, torch.arange(len(slopes)), []
    apart = common.diagonal() - 2 * common  # and what is on at the one; whole numbers, so exact
    while len(left):
        near = apart[left[0], left].argsort(stable=True)
        found.append(left[near[:few]])
        left = left[near[few:].sort().values]
    return found


def sums(weights: Tensor, ours: Tensor, theirs: Tensor, scaled: Tensor) -> Tensor:
    """sum_w weights(p, w) ours(n, w) theirs(m, w), (P, n, m). scaled: memory for P n w numbers."""
    each, once = split(ours)
    shape = len(weights), len(ours), len(each)
    left = torch.mul(columns(weights, each)[:, None], columns(ours, each), out=scaled[: math.prod(shape)].view(shape))
    found = times_transposed(left.flatten(0, 1), columns(theirs, each))
    same = times_transposed(columns(weights, once) * columns(ours[:1], once), columns(theirs, once))
    return found.view(*shape[:2], -1).add_(same[:, None])


def split(ours: Tensor) -> tuple[Tensor, Tensor]:
    """Which units are to be multiplied for each of these samples (n, w), and which once for all.

    Both are filled up to multiples of STEP with others that are the same at all samples.
    """
    differ, on = (ours != ours[0]).any(dim=0), ours[0] != 0
    order = torch.cat([some.nonzero()[:, 0] for some in (differ, ~differ & on, ~differ & ~on)])
    first, last = (-(-int(some.sum()) // STEP) * STEP for some in (differ, differ | on))
    return order[:first], order[first:last]


def columns(matrix: Tensor, some: Tensor) -> Tensor:
    """The columns of these numbers: the matrix as it is, if these are all."""
    return matrix if len(some) == matrix.shape[1] else matrix.index_select(1, some)
