"""A map of the growth onset, 20 graphs by 20 ways to share the data out, from one kernel; with heavy ball and 5 steps.

OMP_NUM_THREADS=1 pytest benchmarks/test_map.py --benchmark-enable
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch

from p2pl import data, registry
from p2pl.experiment import Experiment
from p2pl.network import Network
from p2pl.scenario import parameters_of, stage
from p2pl.seeds import stream
from theory.kernel import ntk
from theory.onset_map import onset_map
from theory.rounds import Rule

FIXED = ["ring", "path", "star", "complete"]
CHANCES = np.linspace(0.15, 0.9, 16)  # of a link
ALPHAS = np.geomspace(0.03, 30, 20)
RULE = Rule(1.0, steps=5, momentum=0.9)


def graphs(devices: int) -> list[np.ndarray]:
    """W (K, K), by Metropolis."""
    drawn = [Network({"name": "erdos_renyi", "p": float(p)}, devices, seed) for seed, p in enumerate(CHANCES)]
    all_of_them = [*(Network(name, devices) for name in FIXED), *drawn]
    sizes = np.ones(devices)
    return [registry.mixing.call("metropolis", graph=one.at(0), sizes=sizes).toarray() for one in all_of_them]


def shares(labels: np.ndarray, devices: int, outputs: int) -> list[list[np.ndarray]]:
    """Rows of the kernel that each device has, for each way."""
    sizes = np.full(devices, len(labels) // devices) + (np.arange(devices) < len(labels) % devices)
    ways = []
    for number, alpha in enumerate(ALPHAS):
        how = {"name": "dirichlet", "alpha": float(alpha)}
        parts = registry.partition.call(how, labels=labels, sizes=sizes, rng=stream(number, "partition", 0))
        ways.append([(part[:, None] * outputs + np.arange(outputs)).ravel() for part in parts])
    return ways


@pytest.mark.parametrize("devices", [8, 20])
def test_map_of_onsets(benchmark: Any, devices: int) -> None:
    """256 MNIST images, a relu network of 1024 units: N C = 2,560. Beside the whole: seconds of CPU time."""
    model = {"name": "mlp", "hidden": [1024], "parametrization": "ntk"}
    spec = {"dataset": "mnist5k", "samples": 256, "devices": devices, "model": model, "loss": "mse"}
    scenario = stage(Experiment.of(spec), known=data.load("mnist5k"))
    known = scenario.data
    inputs = torch.from_numpy(known.x_train)

    def whole() -> np.ndarray:
        theta = ntk(scenario.module, parameters_of(scenario.module), inputs, inputs, dtype=torch.float32).numpy()
        return onset_map(theta, shares(known.y_train, devices, known.classes), graphs(devices), RULE)

    began = time.process_time()
    found = benchmark.pedantic(whole, rounds=1)
    benchmark.extra_info["CPU, s"] = round(time.process_time() - began, 1)
    assert found.shape == (len(ALPHAS), len(FIXED) + len(CHANCES))
    assert np.isfinite(found).all()
