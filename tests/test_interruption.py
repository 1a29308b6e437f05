"""What is killed goes on to the same bytes; a checkpoint that is damaged, or of another run, is not used."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from suited import suited

from p2pl import Experiment, checkpoint
from p2pl.checkpoint import Keeper, resumption
from p2pl.engine import prepare, unfold
from p2pl.registry import algorithm, failure
from p2pl.run import execute, run_all

SPEC = {
    "dataset": "digits",
    "devices": 6,
    "samples": 120,
    "model": {"name": "mlp", "hidden": [8]},
    "rounds": 6,
    "checkpoint_every": 1,
}


def cases():
    """Every algorithm, compressed if it can be; P2PL with all that has a memory under every failure model."""
    plain = [
        {"algorithm": name, "compression": "random_k" if entry.traits.get("compresses") else "none"}
        for name, entry in algorithm.entries.items()
    ]
    busy = {"name": "p2pl", "eta_d": 0.2, "mix_velocity": True, "consensus_steps": 2}
    rough = [{"algorithm": busy, "failures": ["bursts", name], "topology": "star"} for name in failure.entries]
    return plain + rough


@pytest.mark.parametrize("change", cases(), ids=lambda c: f"{c['algorithm']} {c.get('failures', '')}"[:60])
@pytest.mark.parametrize("stop", [1, 4])
def test_a_run_resumed_from_any_round_is_the_same_run(change, stop, tmp_path):
    experiment = Experiment(**suited(SPEC | change))
    whole = list(unfold(prepare(experiment)))

    keeper, first = Keeper(tmp_path / "r"), prepare(experiment)
    for snapshot in unfold(first):
        if snapshot.round == stop and snapshot.phase == first.algorithm.phases[-1]:
            keeper.keep(first, snapshot, [])
            break
    second = prepare(experiment)
    rest = list(unfold(second, resumption(keeper.find(second), second)))
    assert len(rest) == 2 * (6 - stop)
    for now, before in zip(rest, whole[-len(rest) :], strict=True):
        assert torch.equal(now.models, before.models)
        assert now.measures == before.measures


def test_a_damaged_or_foreign_checkpoint_is_not_used(tmp_path):
    experiment = Experiment(**SPEC)
    keeper, setting = Keeper(tmp_path / "r"), prepare(experiment)
    snapshots = unfold(setting)
    for snapshot in (next(snapshots), next(snapshots), next(snapshots)):
        keeper.keep(setting, snapshot, [])
    path = keeper.path(experiment)
    whole = path.read_bytes()
    assert keeper.find(setting)["round"] == 1
    flipped = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), len(whole) // 50)]
    for damaged in (b"", whole[: len(whole) // 2], b"x" + whole, os.urandom(5000), *flipped):
        path.write_bytes(damaged)
        assert keeper.find(setting) is None
    path.write_bytes(whole)
    longer = prepare(experiment.replace(rounds=7))
    path.rename(keeper.path(longer.experiment))
    assert keeper.find(longer) is None


def test_a_checkpoint_that_cannot_be_written_costs_a_warning(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_whole", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        run = execute(prepare(Experiment(**SPEC)), keeper=Keeper(tmp_path / "r"))
    assert run.summary["status"] == "finished"


def test_the_frequency_of_checkpoints_is_no_part_of_a_run(tmp_path):
    often, never = Experiment(**SPEC), Experiment(**SPEC | {"checkpoint_every": None})
    assert often.key == never.key
    run_all([often], tmp_path / "a")
    run_all([never], tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_what_a_kill_left_of_a_checkpoint_is_removed(tmp_path):
    experiment = Experiment(**SPEC)
    killed = "import os, signal, sys; from p2pl.atomic import write_whole\n"
    killed += "write_whole(sys.argv[1], lambda file: os.kill(os.getpid(), signal.SIGKILL))"
    for path in (Keeper(tmp_path / "r").path(experiment), tmp_path / ".r.another.checkpoint"):
        assert subprocess.run([sys.executable, "-c", killed, str(path)]).returncode == -signal.SIGKILL
    half, others = sorted(tmp_path.iterdir(), key=lambda path: "another" in path.name)
    run_all([experiment], tmp_path / "r")
    assert not half.exists()
    assert set(tmp_path.iterdir()) == {others, tmp_path / "r"}


def test_a_finished_run_is_not_repeated(tmp_path):
    experiments = [Experiment(**SPEC | {"seed": seed}) for seed in (0, 1)]
    keeper = Keeper(tmp_path / "r")
    execute(prepare(experiments[0]), keeper=keeper)
    trained = []
    run_all(experiments, tmp_path / "r", report=lambda experiment, *_: trained.append(experiment.seed))
    assert set(trained) == {1}


def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path):
    """Real processes, kill -9, until one of them gets through."""
    spec = json.dumps(
        SPEC | {"rounds": 4500, "failures": "bursts", "evaluation": {"every": 450}, "checkpoint_every": 50}
    )

    def start(out):
        command = [sys.executable, "-m", "p2pl.cli", "run", spec, "--out", str(out), "--seeds", "0,1"]
        return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)

    assert start(tmp_path / "whole").wait() == 0
    moments, out = random.Random(0), tmp_path / "killed" / "r"
    for _ in range(2):
        seen = {path: path.stat().st_mtime_ns for path in out.parent.glob(".*checkpoint")}
        process = start(out)
        while process.poll() is None and seen == {p: p.stat().st_mtime_ns for p in out.parent.glob(".*checkpoint")}:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not out.exists()
        assert list(out.parent.glob(".*checkpoint"))
    assert start(out).wait() == 0
    assert out.read_bytes() == (tmp_path / "whole").read_bytes()
    assert not list(out.parent.glob(".*checkpoint"))
