"""Cases in which the trajectory is known exactly, or by a second way."""

import numpy as np
import pytest
import torch

from p2pl import Experiment, simulate
from p2pl.data import load
from p2pl.datasets.least_squares import optimum
from p2pl.engine import prepare
from p2pl.metrics import least_squares_optimum
from p2pl.registry import topology
from p2pl.seeds import stream

SMALL = {
    "dataset": "digits",
    "devices": 8,
    "samples": 160,
    "model": {"name": "mlp", "hidden": [16], "activation": "tanh"},
    "initialization": "shared",
    "dtype": "float64",
    "training": {"lr": 0.1, "momentum": 0.0, "batch_size": 8},
    "rounds": 4,
}


def trajectory(**changes):
    """The models after each phase, (phases, K, P)."""
    return torch.stack([snapshot.models for snapshot in simulate(Experiment(**(SMALL | changes)))])


@pytest.mark.parametrize("sizes", ["equal", {"name": "power_law", "exponent": 0.8}])
def test_p2pl_on_the_complete_graph_is_fedavg(sizes):
    p2pl = trajectory(topology="complete", mixing="p2pl", sizes=sizes)
    fedavg = trajectory(algorithm="fedavg", sizes=sizes)
    assert p2pl[-1].std() > 0.01
    torch.testing.assert_close(p2pl, fedavg, rtol=0, atol=1e-13)


def test_affinity_in_cooperation_is_a_smaller_self_weight():
    """(1 - eta) W + eta B, B the weights of the others alone, is W damped by 1 + eta / 2 where self weights are 1/3."""
    affinity = trajectory(topology="ring", algorithm={"name": "p2pl", "eta_b": 0.5})
    smaller = trajectory(topology="ring", mixing={"name": "p2pl", "damping": 1.25})
    assert (affinity - trajectory(topology="ring")).abs().max() > 1e-3
    torch.testing.assert_close(affinity, smaller, rtol=0, atol=1e-12)


@pytest.mark.parametrize("graph", ["star", "erdos_renyi"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_adapt_then_combine_is_combine_then_adapt_averaged_once_more(graph, momentum):
    """theta_ATC(t) = W theta_CTA(t), for a nonlinear network, constant W, common start, unmixed momentum."""
    training = SMALL["training"] | {"momentum": momentum}
    setting = prepare(Experiment(**SMALL | {"topology": graph, "training": training}))
    weights = torch.from_numpy(setting.channel.transmission.next().weights.matrix().toarray())
    atc = trajectory(topology=graph, training=training, algorithm={"name": "dsgd", "order": "atc"})[2::2]
    cta = trajectory(topology=graph, training=training, algorithm={"name": "dsgd", "order": "cta"})[2::2]
    assert (atc - cta).abs().max() > 1e-3
    torch.testing.assert_close(atc, weights @ cta, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.0},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.5, "weight_decay": 0.01},
        {"momentum": 0.9, "velocity": "reset"},
        {"momentum": 0.9, "epochs": 2},
        {"momentum": 0.9, "steps": 7},
        {"momentum": 0.9, "batch_size": "full", "steps": 3},
    ],
    ids=str,
)
def test_one_device_is_torch_sgd(options):
    """K = 1: exactly torch.optim.SGD over the same batches, for a network and loss built by torch."""
    spec = SMALL | {"devices": 1, "samples": 60, "topology": "complete", "training": {"lr": 0.1, **options}}
    experiment = Experiment(**spec)
    setting = prepare(experiment)
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.Tanh(), torch.nn.Linear(16, 10)
    ).double()
    torch.nn.utils.vector_to_parameters(setting.draw()[0].clone(), network.parameters())

    def optimizer():
        names = ("momentum", "nesterov", "weight_decay")
        return torch.optim.SGD(network.parameters(), lr=0.1, **{k: v for k, v in options.items() if k in names})

    descent, data = optimizer(), setting.work.data
    for number in range(1, experiment.rounds + 1):
        if options.get("velocity") == "reset":
            descent = optimizer()
        for rows in data.batches(0, number):
            descent.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(data.inputs[rows]), data.targets[rows])
            loss.backward()
            descent.step()
    (*_, last) = simulate(experiment)
    expected = torch.nn.utils.parameters_to_vector(network.parameters()).detach()
    torch.testing.assert_close(last.models[0], expected, rtol=0, atol=1e-12)


def numpy_p2pl(spec, rounds):
    """P2PL from its description, in NumPy: one hidden tanh layer, cross-entropy, heavy ball, a ring of K devices.

    Takes from the program the data, who holds which, the first draws and the orders of batches. Returns (rounds, K, P).
    """
    known, devices, seed, rate, mu, batch = load("digits"), spec["devices"], 0, 0.1, 0.5, 8
    x, y = known.x_train.reshape(-1, 64).astype(float), known.y_train
    shards = prepare(Experiment(**spec)).work.data.shards
    adjacency = np.eye(devices, dtype=bool)
    for k in range(devices):
        adjacency[k, (k + 1) % devices] = adjacency[(k + 1) % devices, k] = True
    weights = adjacency * np.array([len(shard) for shard in shards], dtype=float)
    weights /= weights.sum(axis=1, keepdims=True)

    w = prepare(Experiment(**spec)).draw().numpy().copy()
    for _ in range(devices // 2):  # max norm synchronization, over the diameter of the ring
        norms = (w**2).sum(axis=1)
        w = w[[max(np.flatnonzero(row), key=lambda j: norms[j]) for row in adjacency]]
    v, history = np.zeros_like(w), []
    for number in range(1, rounds + 1):
        for k, shard in enumerate(shards):
            order = stream(seed, "batches", k, number).permutation(shard)
            for start in range(0, len(order), batch):
                rows = order[start : start + batch]
                first, b1, second, b2 = np.split(w[k], [1024, 1040, 1200])
                hidden = np.tanh(x[rows] @ first.reshape(16, 64).T + b1)
                score = np.exp(hidden @ second.reshape(10, 16).T + b2)
                error = (score / score.sum(axis=1, keepdims=True) - np.eye(10)[y[rows]]) / len(rows)
                back = error @ second.reshape(10, 16) * (1 - hidden**2)
                gradient = [back.T @ x[rows], back.sum(axis=0), error.T @ hidden, error.sum(axis=0)]
                v[k] = mu * v[k] + np.concatenate([part.reshape(-1) for part in gradient])
                w[k] -= rate * v[k]
        w = weights @ w
        history.append(w.copy())
    return np.stack(history)


def test_an_independent_p2pl_gives_the_same_trajectory():
    spec = {
        "dataset": "digits",
        "devices": 6,
        "partition": {"name": "classes", "per_device": 2},
        "topology": "ring",
        "mixing": "p2pl",
        "initialization": "max_norm",
        "model": {"name": "mlp", "hidden": [16], "activation": "tanh"},
        "dtype": "float64",
        "training": {"lr": 0.1, "momentum": 0.5, "batch_size": 8},
        "rounds": 3,
    }
    seen = [s.models.numpy() for s in simulate(Experiment(**spec)) if s.phase == "cooperate"]
    assert np.abs(seen[0] - seen[0].mean(axis=0)).max() > 1e-3
    np.testing.assert_allclose(seen, numpy_p2pl(spec, 3), rtol=0, atol=1e-10)


def test_dgd_takes_gradients_where_it_does_not_average():
    """X <- W X - lr G(X) with full gradients, step by step."""
    spec = SMALL | {"algorithm": "dgd", "topology": "star", "training": SMALL["training"] | {"batch_size": "full"}}
    setting = prepare(Experiment(**spec))
    weights = torch.from_numpy(setting.channel.transmission.next().weights.matrix().toarray())
    x = setting.draw()[:1].repeat(8, 1)
    for snapshot in simulate(Experiment(**spec)):
        if snapshot.phase == "cooperate":
            x = weights @ x - 0.1 * setting.work.gradient(x)
            torch.testing.assert_close(snapshot.models, x, rtol=0, atol=1e-12)


def static_topologies():
    return [name for name, entry in topology.entries.items() if "step" not in entry.given]


@pytest.mark.parametrize("graph", static_topologies())
@pytest.mark.parametrize("way", ["max_norm", "min_norm", "random_leader"])
def test_an_election_ends_with_one_leader_after_diameter_rounds(graph, way):
    devices = 32 if graph == "davis" else 16
    spec = SMALL | {"devices": devices, "topology": graph, "initialization": way, "rounds": 0}
    setting = prepare(Experiment(**spec))
    (start,) = simulate(Experiment(**spec))
    norms = setting.draw().norm(dim=1)
    leader = {"max_norm": norms.argmax(), "min_norm": norms.argmin()}.get(way)
    leader = (setting.draw() == start.models[0]).all(dim=1).int().argmax() if leader is None else leader
    assert torch.equal(start.models, setting.draw()[leader].expand_as(start.models))


def test_an_election_needs_all_of_its_rounds():
    """On a path whose leader sits at one end, the other end hears of it in the last of the diameter's rounds."""
    for seed in range(40):
        spec = SMALL | {"topology": "path", "initialization": "max_norm", "rounds": 0, "seed": seed}
        if prepare(Experiment(**spec)).draw().norm(dim=1).argmax() == 0:
            break
    late = spec | {"initialization": {"name": "max_norm", "fraction": 6 / 7}}
    (start,), (almost,) = simulate(Experiment(**spec)), simulate(Experiment(**late))
    assert len(start.models.unique(dim=0)) == 1
    assert len(almost.models.unique(dim=0)) == 2
    assert start.measures["messages"] == 7 * 14
    assert start.measures["consensus_distance"] == 0


def test_models_mixed_for_ever_agree_on_the_stationary_average():
    setting = prepare(Experiment(**SMALL | {"topology": "star", "sizes": {"name": "power_law"}}))
    x = setting.draw()
    for _ in range(200):
        (x,) = setting.channel.mix(x)
    limit = torch.from_numpy(setting.channel.stationary) @ setting.draw()
    torch.testing.assert_close(x, limit.expand_as(x), rtol=0, atol=1e-12)


def test_every_message_is_counted():
    """Star of 8: 14 links; election over 2 rounds, then S = 3 exchanges in each of 4 rounds, 8 bytes a parameter."""
    spec = SMALL | {
        "topology": "star",
        "initialization": "max_norm",
        "algorithm": {"name": "p2pl", "consensus_steps": 3},
    }
    last = list(simulate(Experiment(**spec)))[-1]
    assert last.measures["messages"] == 14 * (2 + 3 * 4)
    assert last.measures["bytes_sent"] == 14 * (2 + 3 * 4) * 8 * last.models.shape[1]
    fedavg = list(simulate(Experiment(**SMALL | {"algorithm": {"name": "fedavg", "participation": 0.5}})))[-1]
    assert fedavg.measures["messages"] == 4 * 2 * 4


def test_the_optimum_of_least_squares_is_the_same_in_two_ways():
    """By orthogonal factors, weighted by device, and by the data set's own account of it."""
    known = load({"name": "least_squares", "groups": 4, "heterogeneity": 1.0, "noise": 0.5})
    shards = np.split(np.random.default_rng(0).permutation(len(known.x_train)), 8)
    weighted = least_squares_optimum(known.x_train, known.y_train, shards, bias=False)
    np.testing.assert_allclose(weighted, optimum(known).reshape(-1), rtol=0, atol=1e-12)
    unequal = least_squares_optimum(known.x_train, known.y_train, [shards[0], np.concatenate(shards[1:])], bias=False)
    assert np.abs(unequal - weighted).max() > 1e-3


def test_centralized_full_gradients_reach_the_least_squares_optimum():
    spec = {
        "dataset": {"name": "least_squares", "dimension": 5, "samples": 80, "noise": 0.3},
        "model": "linear",
        "loss": "mse",
        "dtype": "float64",
        "algorithm": "centralized",
        "training": {"batch_size": "full", "lr": 0.2, "momentum": 0.0},
        "rounds": 300,
    }
    last = list(simulate(Experiment(**spec)))[-1]
    assert last.measures["distance_to_optimum"] < 1e-12
    assert last.measures["accuracy_mean"] is None
