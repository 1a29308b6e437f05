"""Parts of a run, each timed alone: `OMP_NUM_THREADS=1 pytest benchmarks --benchmark-enable`. Not part of the tests.

pytest-benchmark keeps and compares the times of several versions: `--benchmark-autosave`, `--benchmark-compare`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from p2pl.benchmark.discovery import find
from p2pl.benchmark.job import KINDS, Job, Material
from p2pl.benchmark.peers.ours import ENGINES, Ours
from p2pl.training import TorchLearner

FOUND = find(ENGINES)
GRAPHS = {"ring": 2, "10-regular": 10}
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ours(engine: str, **changes: Any) -> Ours:
    peer = FOUND.makers[engine](Material(Job(**{"devices": 20, "samples": 200} | changes)))
    assert isinstance(peer, Ours)
    return peer


@pytest.mark.parametrize("inputs", KINDS)
@pytest.mark.parametrize("engine", FOUND.makers)
def test_learning_phase(benchmark: Any, engine: str, inputs: str) -> None:
    benchmark.pedantic(ours(engine, inputs=inputs).epoch, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("part", ["epoch", "mix", "evaluate"])
@pytest.mark.parametrize("device", DEVICES)
def test_lock_step(benchmark: Any, device: str, part: str) -> None:
    """All devices in one program. Beside the time: the GB that an epoch, or a mixing, must move at least."""
    job = Job(devices=100)
    peer = Ours(Material(job), "torch", device)
    learner = peer.setting.work.learner
    assert isinstance(learner, TorchLearner)
    learner.block = job.devices

    def task() -> None:
        getattr(peer, part)()
        if device == "cuda":
            torch.cuda.synchronize()

    numbers = {"epoch": 5 * job.steps, "mix": 2 * job.devices, "evaluate": job.devices}[part] * job.parameters
    benchmark.extra_info["gigabytes"] = 4 * numbers / 1e9
    benchmark.pedantic(task, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("graph", GRAPHS)
def test_mixing(benchmark: Any, graph: str) -> None:
    benchmark(ours("torch", devices=100, samples=10, neighbours=GRAPHS[graph]).mix)


def test_evaluation(benchmark: Any) -> None:
    benchmark.pedantic(ours("torch", samples=10).evaluate, rounds=5, warmup_rounds=1)


def test_preparation(benchmark: Any) -> None:
    """From a spec and a loaded data set to devices that are ready to learn."""
    material = Material(Job(devices=20))
    benchmark.pedantic(FOUND.makers["torch"], args=(material,), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("module", ["p2pl.cli", "p2pl.engine"])
def test_start_up(benchmark: Any, module: str) -> None:
    """The imports of the command line, and those of a run, in a new process."""
    benchmark.pedantic(
        subprocess.run, args=([sys.executable, "-c", f"import {module}"],), kwargs={"check": True}, rounds=3
    )
