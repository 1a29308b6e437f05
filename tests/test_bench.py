"""What `p2pl bench` compares does the same work, and what it writes is what it says. Nothing here looks at a time."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import p2pl
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from p2pl import benchmark
from p2pl.benchmark import clock, discovery, memory, suite
from p2pl.benchmark.job import KINDS, Job, Material
from p2pl.benchmark.peers.ours import ENGINES
from p2pl.native import library

TOY = Job(devices=4, hidden=(8,), samples=40, neighbours=2, tests=20)
PLAN = suite.Plan(TOY, seconds=0.02, growth={"width": (4, 8), "batch": (1, 3), "devices": (3,)}, memory_devices=3)
FIELDS = {
    "engine": str,
    "inputs": str,
    "ratio_to_plain_loop": float,
    "us_per_device_step": float,
    "device_steps_per_second": float,
    "percent_of_fma_peak": float,
    "memory_mb": float,
    "round_us_per_device_step": float,
    "round_ratio_to_plain_loop": float,
}


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """No task is repeated to be timed well, and the peak is of small products."""
    monkeypatch.setattr(clock, "SHORTEST", 0)
    monkeypatch.setattr(clock, "PRODUCTS", (32,))


@pytest.mark.parametrize("hidden", [(8,), (8, 8)])
@pytest.mark.parametrize("inputs", KINDS)
def test_all_that_claim_to_do_the_job_end_with_equal_parameters(inputs, hidden):
    material = Material(dataclasses.replace(TOY, inputs=inputs, hidden=hidden))
    found = discovery.find()
    peers = {name: maker(material) for name, maker in found.makers.items() if not found.differs[name]}
    assert {"torch", "plain_loop", "vmap"} <= peers.keys()
    for stage in ("epoch", "mix", "epoch"):  # the second epoch has velocities to go on with
        for peer in peers.values():
            getattr(peer, stage)()
        wanted = peers["plain_loop"].parameters()
        assert wanted.shape == (4, material.job.parameters)
        assert (wanted - material.draws).abs().max() > 0.01
        for name, peer in peers.items():
            assert torch.allclose(peer.parameters(), wanted, rtol=1e-4, atol=1e-4), (name, stage)


def test_inputs_are_dense_normalized_or_sparse():
    most = {}
    for inputs in KINDS:
        found = Material(dataclasses.replace(TOY, inputs=inputs)).inputs
        most[inputs] = (found == found.median()).double().mean()
    assert most["dense"] < 0.01
    assert 0.7 < most["sparse"] == most["normalized"] < 0.9


def test_floating_point_operations_are_those_of_a_count_by_hand():
    forward = 2 * 10 * 784 * 200 + 2 * 10 * 200 * 10
    assert Job().flops == 2 * forward + 2 * 10 * 200 * 10 == 6_392_000
    assert (Job().parameters, Job().steps) == (159_010, 6_000)


@pytest.mark.parametrize("hidden", [(8,), (5, 5, 5)])
def test_floating_point_operations_are_those_that_torch_counts(hidden):
    job = dataclasses.replace(TOY, hidden=hidden, batch=4)
    material = Material(job)
    rows = next(iter(material.batches(0)))
    with FlopCounterMode(display=False) as counted:
        F.cross_entropy(material.module()(material.inputs[rows]), material.targets[rows]).backward()
    assert counted.get_total_flops() == job.flops


def test_the_command_writes_and_prints_what_it_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(suite, "QUICK", PLAN)
    monkeypatch.setattr(memory, "peaks", lambda cases: [1_000_000 for _ in cases])
    monkeypatch.setattr(discovery, "OTHERS", tmp_path / "none")
    code, text, err = p2pl("bench", "--quick", "--json", "--out", tmp_path / "a" / "b", capsys=capsys)
    outcome = json.loads(text)
    assert code == 0, err
    assert json.loads((tmp_path / "a/b/bench.json").read_text()) == outcome
    assert sorted(path.name for path in (tmp_path / "a/b").iterdir()) == ["bench.json", "bench.png"]
    names = {"torch", "plain_loop", "vmap"}
    assert {(row["engine"], row["inputs"]) for row in outcome["engines"]} >= {
        (name, inputs) for name in names for inputs in KINDS
    }
    for row in outcome["engines"]:
        assert all(isinstance(row[name], kind) for name, kind in FIELDS.items())
        assert row["us_per_device_step"] * row["device_steps_per_second"] == pytest.approx(1e6)
        assert (row["ratio_to_plain_loop"] == 1) == (row["engine"] == "plain_loop")
    assert {(row["graph"], row["degree"]) for row in outcome["mixing"]} == {("ring", 2), ("10-regular", 3)}
    assert {(row["by"], row["value"]) for row in outcome["growth"]} == {
        (by, value) for by, values in PLAN.growth.items() for value in values
    }
    assert {(row["engine"], row["inputs"]) for row in outcome["rounds"]} >= {
        (name, inputs) for name in ("torch", "plain_loop") for inputs in ("sparse", "dense")
    }
    for row in outcome["rounds"]:
        parts = [row[f"{part}_percent"] for part in ("learning", "mixing", "evaluation")]
        assert sum(parts) == pytest.approx(100)
    assert "other frameworks" in [row["engine"] for row in outcome["missing"]]
    assert outcome["machine"]["fma_peak_gflops"] > 0


def test_the_table_names_every_engine_and_what_was_not_timed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(suite, "QUICK", dataclasses.replace(PLAN, growth={"depth": (1, 2)}))
    monkeypatch.setattr(memory, "peaks", lambda cases: [1_000_000 for _ in cases])
    monkeypatch.setattr(discovery, "OTHERS", tmp_path)
    (tmp_path / "absent_peer.py").write_text("import a_framework_that_nobody_has\n")
    command = ("bench", "--quick", "--only", "torch,absent", "--devices", 3, "--out", tmp_path / "out")
    code, text, _ = p2pl(*command, capsys=capsys)
    assert code == 0
    assert all(word in text for word in ("torch", "plain_loop", "depth", "absent", "not installed"))
    assert "vmap" not in text


def test_a_name_that_no_file_has_is_refused_before_anything_is_timed(tmp_path, capsys):
    code, text, err = p2pl("bench", "--only", "plain_lop", "--out", tmp_path / "out", capsys=capsys)
    assert (code, text) == (2, "")
    assert "'plain_lop'" in err
    assert "did you mean 'plain_loop'" in err


@pytest.mark.parametrize(("devices", "out"), [("2", "fine"), ("10", "file")])
def test_wrong_options_end_with_a_sentence(devices, out, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, _, err = p2pl("bench", "--devices", devices, "--out", tmp_path / out, capsys=capsys)
    assert (code, "Traceback" in err) == (2, False)


BROKEN = """
class Broken:
    def __init__(self, material): self.material = material
    differs = ""
    def epoch(self): raise RuntimeError("no epochs today")
class Short(Broken):
    def epoch(self): pass
    def mix(self): pass
    def parameters(self): return self.material.draws[:1]
class Blind(Short):
    def evaluate(self): raise ValueError("nothing to see")
class Square(Short):
    def round(self): raise ValueError("no rounds either")
PEERS = {"broken": Broken, "short": Short, "blind": Blind, "square": Square}
"""


def test_peers_are_found_by_their_files_and_each_failure_is_said(tmp_path):
    (tmp_path / "absent_peer.py").write_text("import a_framework_that_nobody_has\n")
    (tmp_path / "strange_peer.py").write_text(BROKEN)
    found = discovery.find(others=tmp_path)
    assert found.missing["absent"].startswith("not installed: No module named 'a_framework")
    assert found.missing["broken"] == "failed: RuntimeError: no epochs today"
    assert "(1, " in found.missing["short"]
    assert found.missing["blind"] == "failed: ValueError: nothing to see"
    assert found.missing["square"] == "failed: ValueError: no rounds either"
    assert set(found.makers) >= {"torch", "plain_loop", "vmap"}
    assert "other frameworks" in discovery.find(others=tmp_path / "none").missing
    assert set(ENGINES) <= {*found.makers, *found.missing}


def test_what_is_compared_runs_in_turn():
    order = []
    times = clock.in_turn({name: lambda name=name: order.append(name) for name in "abc"}, seconds=0, least=2)
    assert order[3:] == ["a", "b", "c"] * (len(order) // 3 - 1)
    assert [len(found) for found in times.values()] == [2, 2, 2]
    assert clock.times_as_fast([1.0, 2.0, 9.0], [4.0, 8.0, 9.0]) == 4


def test_a_round_is_a_peers_own_or_an_epoch_and_a_mixing():
    for names, wanted in (("epoch mix parameters", ["epoch", "mix"]), ("epoch mix parameters round", ["round"])):
        done: list[str] = []
        acts = {name: lambda _, name=name, done=done: done.append(name) for name in names.split()}
        suite.whole_round(type("Some", (), {**acts, "differs": ""})())()
        assert done == wanted


def test_the_peak_is_of_the_best_instruction_set_or_of_products_where_nothing_is_built(native, monkeypatch):
    handle = library._handle(native)
    best = library.supported(handle)[0]
    monkeypatch.setattr(clock, "TURNS", 10_000)
    monkeypatch.setattr(clock, "loaded", lambda: library.Library(handle, "portable"))
    peak = clock.peak_of_core(0.1)
    assert peak.task() == peak.flops > 0
    if best != "portable":
        assert peak.by != "multiply-adds in registers, portable"
    monkeypatch.setattr(clock, "loaded", lambda: None)
    peak = clock.peak_of_core(0.1)
    assert peak.flops == 2 * 32**3
    assert peak.by == "best large product"


def ended(_name, _job):
    os._exit(9)


def test_the_peak_of_memory_is_of_a_process_of_its_own_which_may_even_be_ended(monkeypatch):
    monkeypatch.setattr(memory, "PRELOADED", [memory.__name__])
    jobs = [dataclasses.replace(TOY, devices=devices, hidden=(200,)) for devices in (3, 43)]
    few, many = memory.peaks([("torch", job) for job in jobs])
    held = 40 * jobs[0].parameters * 4  # what 40 more devices need for each (K, P) tensor
    assert held / 2 < many - few < 20 * held
    monkeypatch.setattr(memory, "peak", ended)
    assert memory.peaks([("torch", TOY)]) == [None]


def test_a_disk_that_fails_leaves_the_earlier_outcome(tmp_path, capsys, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(suite, "measure", lambda *_: {"engines": []})
    (tmp_path / "bench.json").write_text("{}")
    monkeypatch.setattr(os, "fsync", full)
    code, _, err = p2pl("bench", "--quick", "--out", tmp_path, capsys=capsys)
    assert code == 1
    assert "No space left" in err
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]
    assert (tmp_path / "bench.json").read_text() == "{}"


def test_nothing_is_imported_before_the_command_runs():
    assert "torch" not in vars(benchmark)


def test_the_benchmarks_of_parts_can_be_collected():
    folder = Path(__file__).parent.parent / "benchmarks"
    command = [sys.executable, "-m", "pytest", "--collect-only", "-c", str(folder / "pytest.ini"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_learning_phase" in done.stdout
