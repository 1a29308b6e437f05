"""How much faster a prediction is than the run that it predicts, by turns in one process, kernel and onset included:

OMP_NUM_THREADS=1 pytest benchmarks/test_prediction.py --benchmark-enable
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
import torch

from p2pl import data, sweep
from p2pl.benchmark.clock import cpu_seconds
from p2pl.engine import prepare
from p2pl.experiment import Experiment
from p2pl.recorder import Recorder
from p2pl.run import execute
from p2pl.scenario import stage
from p2pl.table_files import extended
from p2pl.yaml_files import read_yaml
from theory.predict import Way, predict

TABLE = Path(__file__).parent.parent / "config" / "config.yaml"
TURNS = 5


def experiment(arm: str, units: int) -> Experiment:
    """Of the block `theory_width`, seed 0."""
    cells = sweep.index(extended(read_yaml(TABLE)))["theory_width"]
    (found,) = (cell for cell in cells if cell.arm == arm and cell.labels["model.hidden"] == f"[{units}]")
    return found.experiment


@pytest.mark.parametrize("outputs", [False, True], ids=["results", "results and outputs"])
@pytest.mark.parametrize("arm", ["relu", "erf"])
def test_prediction_and_its_run(benchmark: Any, arm: str, outputs: bool) -> None:
    """4096 units. With outputs both keep what every network says, as they do where they are to be compared."""
    one = experiment(arm, 4096)
    known = data.load(one.dataset)

    def run() -> None:
        setting = prepare(one, None, known)
        recorder = Recorder(setting) if outputs else None
        execute(setting, recorder=recorder)
        if recorder:
            recorder.arrays()

    def prediction() -> None:
        predict(stage(one, known=known), Way(), outputs)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        prediction()  # imports, and what is found once for a process
        pairs = [(cpu_seconds(run), cpu_seconds(prediction)) for _ in range(TURNS)]
        benchmark.extra_info["run, s"] = round(statistics.median(run for run, _ in pairs), 2)
        benchmark.extra_info["prediction, s"] = round(statistics.median(mine for _, mine in pairs), 2)
        benchmark.extra_info["x"] = round(statistics.median(run / mine for run, mine in pairs), 1)
        benchmark.pedantic(prediction, rounds=1)
    finally:
        torch.set_num_threads(threads)
