"""The Base-(k+1) graph: exact averaging in one period for any number of devices, with at most k neighbours at a time.

Takezawa, Sato, Bao, Niwa, Yamada, "Beyond Exponential Graph", NeurIPS 2023, arXiv 2305.11420 (algorithms 1-3).
Written from the construction, which is proved in the comments, not from the authors' program.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations, count

import networkx as nx

from p2pl.registry import Count, topology
from p2pl.topologies._build import undirected

Step = dict[tuple[int, int], float]  # the weight of every pair that averages at this step
Period = list[Step]


@topology
def base_k_plus_1(devices: int, k: Count = 1) -> list[nx.Graph[int]]:
    """At most k neighbours at a time, and exact averaging in one period, for any number of devices.

    The edges carry the weights that this needs: mix with `prescribed`. Takezawa et al. 2023, arXiv 2305.11420.
    """
    nodes = list(range(devices))
    smooth = max(part for part in range(1, devices + 1) if devices % part == 0 and _factors(part, k) is not None)
    blocks = [nodes[start : start + devices // smooth] for start in range(0, devices, devices // smooth)]
    # Average exactly in each of `smooth` equal blocks, then across them: every value is a mean of equal-sized means.
    across = [_hyper_hypercube(list(members), k) for members in zip(*blocks, strict=True)]
    split = _together([_simple(block, k) for block in blocks]) + _together(across)
    whole = _simple(nodes, k)
    return [_graph(devices, step) for step in min(split, whole, key=len) or [{}]]


def _graph(devices: int, step: Step) -> nx.Graph[int]:
    graph = undirected(devices, [])
    graph.add_weighted_edges_from((u, v, weight) for (u, v), weight in sorted(step.items()))
    return graph


def _together(periods: list[Period]) -> Period:
    """Periods of one length on disjoint devices, side by side."""
    return [{pair: w for step in steps for pair, w in step.items()} for steps in zip(*periods, strict=True)]


@cache
def _factors(number: int, k: int) -> tuple[int, ...] | None:
    """`number` as a product of fewest factors from 2 to k + 1; None if it has a prime factor above k + 1."""
    if number == 1:
        return ()
    rests = {factor: _factors(number // factor, k) for factor in range(2, k + 2) if number % factor == 0}
    products = [(factor, *rest) for factor, rest in rests.items() if rest is not None]
    return min(products, key=len, default=None)


def _groups(members: list[int], size: int) -> Step:
    """Consecutive groups of at most `size` members, each averaging within itself."""
    groups = [members[start : start + size] for start in range(0, len(members), size)]
    return {pair: 1 / len(group) for group in groups for pair in combinations(group, 2)}


def _hyper_hypercube(nodes: list[int], k: int) -> Period:
    """Algorithm 1: with numbers written in the mixed base of the factors, step t averages over digit t."""
    period, stride = [], 1
    for factor in _factors(len(nodes), k) or ():
        lines = [nodes[start : start + stride * factor] for start in range(0, len(nodes), stride * factor)]
        period.append(
            {p: w for line in lines for r in range(stride) for p, w in _groups(line[r::stride], factor).items()}
        )
        stride *= factor
    return period


def _simple(nodes: list[int], k: int) -> Period:
    """Algorithm 2: the simple Base-(k+1) graph, by the digits a_l of the number of devices in base k + 1.

    1. Parts V_l of a_l (k+1)^p_l devices average within themselves: device i of V_l holds m_l.
    2. At exchange l, every device of the later parts L_l meets one device of each of the a_l subparts of V_l, with
       weight (k+1)^p_l / (|V_l| + |L_l|): this makes the mean of each subpart, and that of L_l, the mean of V_l and
       L_l, which by induction is the mean of all.
    3. Each subpart averages within itself from then on, while the later parts exchange.
    """
    if _factors(len(nodes), k) is not None:
        return _hyper_hypercube(nodes, k)
    parts = _parts(nodes, k + 1)
    within = [_hyper_hypercube([i for subpart in part for i in subpart], k) for part in parts]
    after = [_together([_hyper_hypercube(subpart, k) for subpart in part]) for part in parts]
    period: Period = []
    for t in range(len(within[0]) + 1 + len(after[0])):
        step: Step = {}
        exchange = t - len(within[0])
        for level in range(len(parts)):
            if exchange < 0:
                step |= _cyclic(within[level], t)
            elif level < exchange:
                step |= _cyclic(after[level], exchange - level - 1)
            elif level == exchange and level + 1 < len(parts):
                step |= _exchange(parts[level:], k)
        period.append(step)
    return period


def _cyclic(period: Period, t: int) -> Step:
    """A part that is done early starts over: averaging equal values again changes nothing in the product."""
    return period[t % len(period)] if period else {}


def _exchange(parts: list[list[list[int]]], k: int) -> Step:
    """Step 2 above, for V_l the first of `parts`; devices of V_l that meet nobody average among themselves."""
    first, later = parts[0], [i for part in parts[1:] for subpart in part for i in subpart]
    weight = len(first[0]) / (len(first) * len(first[0]) + len(later))
    step = {(j, i): weight for subpart in first for j, i in zip(subpart, later, strict=False)}
    return step | _groups([j for subpart in first for j in subpart[len(later) :]], k + 1)


def _parts(nodes: list[int], base: int) -> list[list[list[int]]]:
    """The parts V_l, largest first, each as its a_l subparts of base^p_l devices."""
    power = next(p for p in count() if base ** (p + 1) > len(nodes))
    parts, start = [], 0
    for size in (base**p for p in range(power, -1, -1)):
        digit = (len(nodes) - start) // size
        if digit:
            parts.append([nodes[start + a * size : start + (a + 1) * size] for a in range(digit)])
            start += digit * size
    return parts
