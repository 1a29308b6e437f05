"""Random undirected graphs. Each function draws once; `p2pl.network` draws again until all devices are connected."""

from __future__ import annotations

import networkx as nx
import numpy as np
from scipy.sparse.csgraph import shortest_path

from p2pl.registry import Count, Positive, Probability, SpecError, topology
from p2pl.topologies._build import undirected

PLACEMENTS = 1000


@topology
def erdos_renyi(devices: int, rng: np.random.Generator, p: Probability | None = None) -> nx.Graph[int]:
    """Every pair of devices is joined with probability p, independently.

    By default p = 2 ln(K) / K, twice the threshold above which large graphs are connected (0.092 for 100 devices).
    """
    chance = min(1.0, 2 * np.log(devices) / devices) if p is None else p
    return _graph(np.triu(rng.random((devices, devices)) < chance, 1))


@topology
def random_geometric(
    devices: int, rng: np.random.Generator, radius: Positive | None = None, diameter: Count | None = None
) -> nx.Graph[int]:
    """Devices at random places of the unit square hear those within `radius`.

    By default 1.65 times the radius sqrt(ln(K) / (pi K)) above which large graphs are connected (0.2 for 100 devices).
    With `diameter` in place of `radius`, the places are drawn until some radius gives a connected graph of exactly that
    diameter, and the smallest such radius is taken. Raises SpecError if both are given, or if no draw of 1000 does it.
    """
    if radius is not None and diameter is not None:
        raise SpecError("random_geometric takes a radius or a diameter, not both")
    if diameter is not None:
        return _of_diameter(devices, diameter, rng)
    places = rng.random((devices, 2))
    return _geometric(places, 1.65 * float(np.sqrt(np.log(devices) / (np.pi * devices))) if radius is None else radius)


@topology
def random_regular(devices: int, rng: np.random.Generator, degree: Count = 4) -> nx.Graph[int]:
    """A graph drawn uniformly (asymptotically) among those in which every device has `degree` neighbours.

    Steger and Wormald 1999. Raises SpecError if degree is not below the number of devices or their product is odd.
    """
    if degree >= devices or degree * devices % 2:
        even = degree % 2 == 0
        fits = f"more than {degree} devices" if even else f"an even number of devices above {degree}"
        raise SpecError(f"{devices} devices cannot all have {degree} neighbours: {fits} can")
    return _ordered(nx.random_regular_graph(degree, devices, seed=rng))


@topology
def small_world(
    devices: int, rng: np.random.Generator, neighbours: Count = 4, rewiring: Probability = 0.1
) -> nx.Graph[int]:
    """A ring in which devices hear their nearest `neighbours`, each link then moved elsewhere with a probability.

    Watts and Strogatz 1998. Raises SpecError unless `neighbours` is even and below the number of devices.
    """
    if neighbours % 2 or neighbours >= devices:
        raise SpecError(
            f"small_world: neighbours must be even and below the number of devices, {devices}, not {neighbours}"
        )
    return _ordered(nx.watts_strogatz_graph(devices, neighbours, rewiring, seed=rng))


@topology
def barabasi_albert(devices: int, rng: np.random.Generator, links: Count = 2) -> nx.Graph[int]:
    """Devices join one by one and link to `links` earlier ones, the more likely the more links these have.

    Barabasi and Albert 1999, from a star of links + 1 devices. Raises SpecError with fewer devices than that.
    """
    if links >= devices:
        raise SpecError(f"barabasi_albert: links must be below the number of devices, {devices}, not {links}")
    return _ordered(nx.barabasi_albert_graph(devices, links, seed=rng))


def _graph(joined: np.ndarray) -> nx.Graph[int]:
    """From a (K, K) upper triangle of booleans."""
    return undirected(len(joined), ((int(u), int(v)) for u, v in np.argwhere(joined)))


def _ordered(graph: nx.Graph[int]) -> nx.Graph[int]:
    """The same graph with nodes and edges in numerical order, whatever order the generator happened to use."""
    return undirected(len(graph), sorted((min(edge), max(edge)) for edge in graph.edges))


def _distances(places: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(places[:, None] - places, axis=-1))


def _geometric(places: np.ndarray, radius: float) -> nx.Graph[int]:
    graph = _graph(np.triu(_distances(places) <= radius, 1))
    nx.set_node_attributes(graph, {k: (float(x), float(y)) for k, (x, y) in enumerate(places)}, "pos")
    return graph


def _hops(joined: np.ndarray) -> float:
    """The diameter; infinite if not connected."""
    return float(shortest_path(joined, unweighted=True).max())


def _of_diameter(devices: int, diameter: int, rng: np.random.Generator) -> nx.Graph[int]:
    """More radius never lengthens a shortest path, so that the smallest radius of a diameter is found by halving."""
    for redraws in range(PLACEMENTS):
        places = rng.random((devices, 2))
        distances = _distances(places)
        radii = np.unique(distances)  # 0 and every radius at which a link appears
        low, high = 0, len(radii) - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if _hops(distances <= radii[middle]) <= diameter else (middle + 1, high)
        if _hops(distances <= radii[low]) == diameter:
            graph = _geometric(places, float(radii[low]))
            graph.graph["redraws"] = redraws
            return graph
    raise SpecError(
        f"random_geometric: {PLACEMENTS} placements of {devices} devices, none has a radius that gives diameter "
        f"{diameter}; a smaller diameter or more devices would do"
    )
