"""How much cheaper a forecast of 15 settings is, a setting, than their runs, by turns in one process:

OMP_NUM_THREADS=1 pytest benchmarks/test_forecast.py --benchmark-enable
"""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

import pytest
import torch

from p2pl import data
from p2pl.benchmark.clock import cpu_seconds
from p2pl.benchmark.discovery import find
from p2pl.benchmark.peers.ours import ENGINES
from p2pl.engine import prepare
from p2pl.experiment import Experiment
from p2pl.run import execute
from theory.forecast import Method, forecast

GRAPHS, RATES = ["complete", "erdos_renyi", "star", "ring", "path"], [0.0, 0.3, 0.6]
COMMON = {"partition": {"name": "dirichlet", "alpha": 0.3}, "initialization": "shared"}
JOBS = {
    "784-32-10": {
        "devices": 8,
        "samples": 640,
        "model": {"name": "mlp", "hidden": [32]},
        "training": {"lr": 0.1, "momentum": 0.5, "batch_size": 10},
        "rounds": 40,
        "evaluation": {"samples": 300},
    },
    "784-200-10": {
        "devices": 16,
        "samples": 4000,
        "model": {"name": "mlp", "hidden": [200]},
        "training": {"lr": 0.05, "momentum": 0.5, "batch_size": 10},
        "rounds": 20,
        "evaluation": {"samples": 1000},
    },
}
RUNS = 5  # of the settings, each beside a forecast of all


def run(one: Experiment, known: data.Dataset) -> None:
    execute(prepare(one, None, known))


@pytest.mark.parametrize("engine", find(ENGINES).makers)
@pytest.mark.parametrize("job", JOBS)
def test_forecasts_and_their_runs(benchmark: Any, job: str, engine: str) -> None:
    spec = COMMON | JOBS[job] | {"engine": engine}
    settings = [
        Experiment.of(spec | {"topology": graph, "failures": {"name": "links", "rate": rate}})
        for graph in GRAPHS
        for rate in RATES
    ]
    known = data.load(settings[0].dataset)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        forecast(settings[:1], known, Method())  # what is found once for a process
        pairs = [
            (cpu_seconds(partial(run, one, known)), cpu_seconds(partial(forecast, settings, known, Method())))
            for one in settings[:: len(settings) // RUNS]
        ]
        benchmark.extra_info["run, s"] = round(statistics.median(whole for whole, _ in pairs), 2)
        each = [(whole, several / len(settings)) for whole, several in pairs]
        benchmark.extra_info["forecast of a setting, s"] = round(statistics.median(one for _, one in each), 3)
        benchmark.extra_info["x"] = round(statistics.median(whole / one for whole, one in each), 1)
        benchmark.pedantic(lambda: forecast(settings[:1], known, Method()), rounds=1)
    finally:
        torch.set_num_threads(threads)
