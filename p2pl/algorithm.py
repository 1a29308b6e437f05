"""The contract of an algorithm: the papers' two phases, in four names.

    start(x0, work)            (K, P) first parameters -> State
    learn(state, work)         on-device learning; nothing is sent
    cooperate(state, channel)  peer-to-peer cooperation; nothing is learned
    models(state)              (K, P) parameters that are evaluated

An algorithm is a frozen dataclass whose fields are its options, registered with what it requires:

    @algorithm(needs=("row stochastic",))     checked by name before anything trains, see NEEDS
    @algorithm(graph=False)                   does not speak over links: no failures, no initialization protocol
    @algorithm(pooled=True)                   one device that holds all the data
    @algorithm(compresses=True)               sends what the spec's `compression` makes of it
    @algorithm(tensors=3)                     its state has so many (K, P) tensors; 2, if it is not said

State is a NamedTuple of tensors (or None, or tuples of tensors) that no phase changes in place: with the round's number
and what is under way in the channel it is all there is to a run, so that a run can be resumed from it.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from p2pl import registry
from p2pl.channel import Channel
from p2pl.compression import Message as Message  # for algorithms, with the channel that takes it
from p2pl.experiment import Experiment
from p2pl.network import Network
from p2pl.registry import SpecError

ROUNDING = 1e-9  # of an eigenvalue that is a bound itself, as -1/3 is on even rings


class Work(Protocol):
    """What a device may do with its own data; made by the engine, one for all K devices.

    sizes: (K,) samples a device, as numbers of x's dtype. left: how many rounds there are after this one.
    """

    sizes: Tensor
    left: int

    @property
    def lr(self) -> float:
        """This round's learning rate."""
        ...

    def train(
        self, x: Tensor, velocity: Tensor, devices: np.ndarray | None = None, drift: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The spec's learning phase (epochs or steps of SGD) of every device, or of some: new x and velocity, (K, P).

        drift: (K, P) added to x in equal parts over the steps of the phase. The results are nobody else's: they may be
        changed in place.
        """
        ...

    def gradient(self, x: Tensor) -> Tensor:
        """(K, P): each device's gradient at its row of x, on its next mini-batch."""
        ...

    def stream(self, name: str) -> np.random.Generator:
        """This round's random numbers for the purpose `name`."""
        ...


class Parameters(NamedTuple):
    """The state of most algorithms: parameters and velocities, (K, P) each."""

    x: Tensor
    velocity: Tensor


def known_to_all(x0: Tensor) -> Tensor:
    """(K, P) copies that all devices have of one another before anything is said: a common start, or else zeros."""
    return torch.where((x0 == x0[0]).all(), x0, 0.0)


def consensus_step(gamma: float | None, reach: float, *messages: Message) -> float:
    """How far compressed gossip moves: gamma, or if that is None `reach` times the share of bytes sent, at most 1.

    What is all sent is all used. Further than some multiple of what is heard, copies do not keep up and devices swing
    apart: a rule of thumb of ours, from trials with top-k.
    """
    if gamma is not None:
        return gamma
    share = sum(m.bytes for m in messages) / sum(m.values.shape[1] * m.values.element_size() for m in messages)
    return 1.0 if share >= 1 else min(1.0, reach * share)


def gossip_step(x: Tensor, gamma: float, mixed: Tensor, h: Tensor) -> Tensor:
    """x + gamma (W h - h), all (K, P) or (K, 1). In the memory of `mixed`, W h, which nobody has any other use for."""
    return mixed.sub_(h).mul_(gamma).add_(x)


class Algorithm(Protocol):
    """See the module's docstring. phases: their order within a round."""

    phases: ClassVar[tuple[str, str]]

    def start(self, x0: Tensor, work: Work) -> Any: ...

    def learn(self, state: Any, work: Work) -> Any: ...

    def cooperate(self, state: Any, channel: Channel) -> Any: ...

    def models(self, state: Any) -> Tensor: ...


def _stochastic(kinds: tuple[str, ...], remedy: str) -> Any:
    def check(experiment: Experiment, network: Network) -> tuple[bool, str]:
        name = experiment.mixing.name
        kind = registry.mixing.entry(name).traits["stochastic"]
        return kind in kinds, f"mixing '{name}' is {kind} stochastic; {remedy} would do"

    return check


def _weights(experiment: Experiment, network: Network) -> np.ndarray:
    """W of a static graph, (K, K), for equal data: doubly stochastic rules do not look at the sizes."""
    weights = registry.mixing.call(experiment.mixing, graph=network.at(0), sizes=np.ones(network.devices))
    return np.asarray(weights.toarray())


def _symmetric(experiment: Experiment, network: Network) -> tuple[bool, str]:
    doubly, obstacle = NEEDS["doubly stochastic"](experiment, network)
    if not doubly:
        return False, obstacle
    weights = _weights(experiment, network)
    remedy = "'metropolis' would do"
    return np.array_equal(weights, weights.T), f"those of mixing '{experiment.mixing.name}' here are not; {remedy}"


def _eigenvalues(experiment: Experiment, network: Network) -> tuple[bool, str]:
    """Above -1 / (1 + 2 mu), for the algorithm's option mu; mu is 1 for those without one."""
    bound = -1 / (1 + 2 * experiment.algorithm.options.get("mu", 1.0))
    least = np.linalg.eigvalsh(_weights(experiment, network))[0]
    remedy = "algorithm 'exact_diffusion', or mixing 'lazy_metropolis', would do"
    return least > bound + ROUNDING, f"the least eigenvalue of W is {least:.4f}, not above {bound:.4f}; {remedy}"


def _tree(experiment: Experiment, network: Network) -> tuple[bool, str]:
    links = network.at(0).number_of_edges()
    obstacle = f"'{network.name}' has {links} links between {network.devices} devices"
    return links == network.devices - 1, f"{obstacle}; topology 'path', 'star' or 'binary_tree' would do"


# need -> (experiment, network) -> (whether it is met, what stands against it and what would do). Those of an algorithm
# are checked in its order: `symmetric`, `tree` and eigenvalues speak of the one graph of a static network.
NEEDS: dict[str, Any] = {
    "row stochastic": _stochastic(("row", "doubly"), "'p2pl', 'uniform' or 'metropolis'"),
    "doubly stochastic": _stochastic(("doubly",), "'metropolis', or 'prescribed' where the graph has weights,"),
    "column stochastic": _stochastic(("column", "doubly"), "'push_sum'"),
    "undirected": lambda experiment, network: (
        not network.directed,
        f"'{network.name}' is directed; an undirected graph, such as 'ring', would do",
    ),
    "static": lambda experiment, network: (
        network.static,
        f"'{network.name}' varies in time; a static graph, such as 'ring', would do",
    ),
    "periodic": lambda experiment, network: (
        network.period is not None,
        f"'{network.name}' is drawn anew at each step; a static or repeating one (one_peer_exponential) would do",
    ),
    "symmetric": _symmetric,
    "lambda_min above -1/3": _eigenvalues,
    "lambda_min above -1/(1 + 2 mu)": _eigenvalues,
    "tree": _tree,
    "no failures": lambda experiment, network: (
        not experiment.failures,
        f"the spec has {', '.join(one.name for one in experiment.failures)}; leave failures out",
    ),
    "rounds to learn in": lambda experiment, network: (
        experiment.rounds == 0 or experiment.algorithm.options["final_rounds"] < experiment.rounds,
        f"of {experiment.rounds} rounds the last {experiment.algorithm.options['final_rounds']} only merge",
    ),
    "training.momentum 0": lambda experiment, network: (
        experiment.training.momentum == 0,
        f"it is {experiment.training.momentum:g}; set it to 0, for this algorithm has a momentum of its own",
    ),
}


def check_needs(experiment: Experiment, network: Network) -> None:
    """Raises SpecError naming the need of the experiment's algorithm that its graph, weights or spec do not meet."""
    name = experiment.algorithm.name
    for need in registry.algorithm.entry(name).traits.get("needs", ()):
        met, obstacle = NEEDS[need](experiment, network)
        if not met:
            raise SpecError(f"algorithm '{name}' needs {need}, but {obstacle}")


def tensors_of(experiment: Experiment, network: Network) -> int:
    """How many (K, P) tensors the algorithm's state has; one that needs a period has a copy for each of its graphs."""
    traits = registry.algorithm.entry(experiment.algorithm.name).traits
    copies = (network.period or 1) - 1 if "periodic" in traits.get("needs", ()) else 0
    return int(traits.get("tensors", 2)) + copies
