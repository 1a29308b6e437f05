"""The command line as a user meets it: summaries, errors, files that are whole or not there."""

import json
import math
import os
import subprocess
import sys

import pytest
from commands import SPEC, p2pl

from p2pl import results
from p2pl.arguments import experiments_of
from p2pl.registry import FAMILIES, SpecError
from p2pl.results import load, read


def test_run_prints_one_json_object_and_writes_the_rows(tmp_path, capsys):
    out = tmp_path / "deep" / "r.parquet"
    code, text, _ = p2pl("run", json.dumps(SPEC), "--out", out, "--json", capsys=capsys)
    summary = json.loads(text)
    assert code == 0
    wanted = {
        "accuracy_mean",
        "accuracy_min",
        "accuracy_of_average",
        "consensus_distance",
        "bytes_sent",
        "rounds_to_target",
    }
    assert wanted <= summary.keys()
    frame = load(out)
    assert list(frame.columns) == list(results.COLUMNS)
    assert len(frame) == 1 + 2 * 6
    last = frame.iloc[-1]
    assert summary["accuracy_mean"] == last.accuracy_mean
    assert summary["bytes_sent"] == last.bytes_sent
    ends = frame[frame.phase != "learn"]
    assert summary["rounds_to_target"] == ends[ends.accuracy_mean >= 0.5]["round"].min()
    assert frame.attrs["specs"] == {summary["run"]: SPEC}
    assert frame.attrs["data"]["digits"]["checksum"]
    assert len(frame.accuracy_devices[0]) == 4
    assert last.accuracy_min == min(last.accuracy_devices)
    assert list(out.parent.iterdir()) == [out]


def test_a_file_and_a_mapping_are_the_same_run_to_the_byte(tmp_path, capsys):
    spec = tmp_path / "s.yaml"
    spec.write_text(json.dumps(SPEC))
    for name, given in (("a", spec), ("b", json.dumps(SPEC))):
        assert p2pl("run", given, "--out", tmp_path / name, capsys=capsys)[0] == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_same_bytes_whatever_the_number_of_threads(tmp_path):
    spec = json.dumps(SPEC | {"rounds": 2})
    for threads in "14":
        command = [sys.executable, "-m", "p2pl.cli", "run", spec, "--out", str(tmp_path / threads)]
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": threads}, capture_output=True)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "4").read_bytes()


def test_seeds_together_or_alone_give_the_same_rows(tmp_path, capsys):
    p2pl("run", json.dumps(SPEC), "--out", tmp_path / "all", "--seeds", "0,1", capsys=capsys)
    p2pl("run", json.dumps(SPEC | {"seed": 1}), "--out", tmp_path / "one", capsys=capsys)
    together, alone = read(tmp_path / "all")[0], read(tmp_path / "one")[0]
    assert together.slice(len(alone)).equals(alone)


def test_a_grid_on_the_command_line():
    found = experiments_of(json.dumps(SPEC), ["training.lr=0.1,0.2", "topology={name: star}"], "0,1")
    assert [(e.training.lr, e.topology.name, e.seed) for e in found][1] == (0.1, "star", 1)
    assert len(found) == 4
    for seeds in ("", "0,0"):
        with pytest.raises(SpecError, match="--seeds: expected one value or several different"):
            experiments_of("{}", [], seeds)
    with pytest.raises(SpecError, match="expected KEY=VALUE"):
        experiments_of("{}", ["training.lr"], None)


WRONG = [
    ({"topology": "rng"}, "did you mean 'ring'"),
    ({"topology": "hypercube", "devices": 6}, "hypercube"),
    ({"topology": "davis"}, "32 devices, not 4"),
    ({"samples": 10_000}, "1442"),
    ({"samples": 3}, "3 training samples cannot be shared among 4 devices"),
    ({"partition": {"name": "classes", "per_device": 11}}, "11"),
    ({"mixing": "push_sum"}, "needs row stochastic"),
    ({"topology": "directed_ring", "mixing": "metropolis"}, "metropolis"),
    ({"evaluation": {"samples": 10_000}}, "only 355 samples"),
    ({"initialization": "centrality_gain", "topology": "random_matching"}, "no period"),
    ({"failures": {"name": "bursts", "loss": 0.9, "length": 1}}, "length must be at least"),
    ({"dataset": "mnist"}, "MNIST/raw"),
    ({"model": "cnn", "dataset": "least_squares", "loss": "mse"}, "cnn"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=lambda case: str(case)[:30])
def test_a_wrong_spec_ends_with_a_sentence_code_two_and_no_file(change, message, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("P2PL_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    out = tmp_path / "out" / "r.parquet"
    code, text, err = p2pl("run", json.dumps(SPEC | change), "--out", out, "--seeds", "0,1", capsys=capsys)
    assert (code, text) == (2, "")
    assert err.startswith("p2pl: ")
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_refused_is_refused_before_any_other_trains(tmp_path, capsys):
    """The second of two runs cannot be; its failure model or its start would only say so later."""
    for change in (
        "failures={name: bursts},{name: bursts, loss: .9, length: 2}",
        "initialization=shared,centrality_gain",
    ):
        spec = json.dumps(SPEC | {"topology": "random_matching", "mixing": "uniform", "initialization": "shared"})
        code, _, err = p2pl("run", spec, "--out", tmp_path / "r", "--set", change, capsys=capsys)
        assert (code, "round" in err) == (2, False)
        assert not list(tmp_path.iterdir())


def test_a_missing_or_broken_spec_file_is_named(tmp_path, capsys):
    broken = tmp_path / "b.yaml"
    broken.write_text("devices: [")
    for path, message in ((tmp_path / "none.yaml", "cannot read"), (broken, "not YAML")):
        code, _, err = p2pl("run", path, "--out", tmp_path / "r", capsys=capsys)
        assert code == 2
        assert str(path) in err
        assert message in err


def test_a_place_that_cannot_be_written_is_said_before_training(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, _, err = p2pl("run", json.dumps(SPEC | {"rounds": 10**6}), "--out", tmp_path / "file" / "r", capsys=capsys)
    assert code == 2
    assert "cannot write" in err


def test_a_run_that_diverges_says_when_and_keeps_what_was_before(tmp_path, capsys):
    wild = SPEC | {
        "training": {"lr": 1e6},
        "model": {"name": "mlp", "activation": "identity"},
        "loss": "mse",
        "rounds": 40,
    }
    code, text, _ = p2pl("run", json.dumps(wild), "--out", tmp_path / "r", "--json", capsys=capsys)
    summary = json.loads(text)
    frame = load(tmp_path / "r")
    assert code == 0
    assert summary["status"].startswith("diverged at round ")
    end = int(summary["status"].rsplit(" ", 1)[1])
    assert 1 <= end < 40
    assert frame["round"].max() == end - 1
    assert set(frame.status) == {summary["status"]}
    assert all(math.isfinite(value) for value in frame.loss_mean)
    assert "NaN" not in text


def test_list_names_everything(capsys):
    _, text, _ = p2pl("list", "--json", capsys=capsys)
    listed = json.loads(text)
    for family in FAMILIES:
        assert set(listed[family.kind]) == set(family.entries)
    _, words, _ = p2pl("list", "topology", capsys=capsys)
    assert "erdos_renyi" in words
    assert p2pl("list", "topologie", capsys=capsys)[0] == 2


def test_graph_measures_and_draws(tmp_path, capsys, monkeypatch):
    picture = tmp_path / "star.png"
    _, text, _ = p2pl("graph", "star", "--devices", 100, "--json", "--out", picture, capsys=capsys)
    facts = json.loads(text)
    assert facts["diameter"] == 2
    assert facts["slem"] == pytest.approx(0.5)
    assert len(facts["edges"]) == 99
    assert max(facts["stationary"]) * 100 == pytest.approx(33.6, abs=0.05)
    assert picture.stat().st_size > 1000
    monkeypatch.chdir(tmp_path)
    for graph, rule in (
        ("random_matching", "uniform"),
        ("one_peer_exponential", "prescribed"),
        ("directed_ring", "push_sum"),
    ):
        assert p2pl("graph", graph, "--devices", 8, "--mixing", rule, capsys=capsys)[0] == 0
    assert p2pl("graph", "sta", capsys=capsys)[0] == 2


def test_data_tells_where_it_is_from(capsys):
    _, text, _ = p2pl("data", "digits", capsys=capsys)
    assert json.loads(text).keys() >= {"name", "source", "checksum"}
