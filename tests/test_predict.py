"""`p2pl predict` and `p2pl compare` as a user meets them."""

import json

import pandas as pd
import pytest
from commands import p2pl

from p2pl import results
from p2pl.outputs import beside, read_outputs
from p2pl.results import load

SPEC = {
    "dataset": "digits",
    "devices": 4,
    "samples": 40,
    "evaluation": {"samples": 60, "target": 0.1},
    "initialization": "shared",
    "failures": {"name": "links", "rate": 0.3},
    "loss": "mse",
    "model": {"name": "mlp", "hidden": [64], "parametrization": "ntk"},
    "training": {"lr": 0.1, "batch_size": "full", "steps": 3},
    "rounds": 3,
}
MEASURES = {"test_predictions", "train_loss", "test_accuracy", "disagreement", "parameters"}


def both(spec, folder, capsys, *more):
    """A run and a prediction of one spec, with their outputs; the predicted summary."""
    run, theory = folder / "r.parquet", folder / "t.parquet"
    assert p2pl("run", json.dumps(spec), "--out", run, "--outputs", *more, capsys=capsys)[0] == 0
    code, text, err = p2pl("predict", json.dumps(spec), "--out", theory, "--outputs", "--json", *more, capsys=capsys)
    assert code == 0, err
    return run, theory, json.loads(text)


def errors(run, theory, capsys, *more):
    code, text, err = p2pl("compare", run, theory, "--json", *more, capsys=capsys)
    assert code == 0, err
    return json.loads(text), err


def test_a_prediction_has_the_columns_rows_and_summary_of_the_run(tmp_path, capsys):
    run, theory, summary = both(SPEC, tmp_path, capsys)
    seen, predicted = load(run), load(theory)
    assert list(predicted.columns) == [*results.COLUMNS, "source"]
    assert set(predicted.source) == {"theory"}
    for exact in ("run", "seed", "round", "phase", "messages", "bytes_sent", "status"):
        assert list(seen[exact]) == list(predicted[exact]), exact
    assert predicted.loss_mean.to_numpy() == pytest.approx(seen.loss_mean.to_numpy(), rel=0.05)
    assert predicted.attrs["specs"] == seen.attrs["specs"]
    assert predicted.attrs["data"] == seen.attrs["data"]
    wanted = {"growth_onset_lr", "warnings", "source", "accuracy_mean", "loss_mean", "rounds_to_target", "seconds"}
    assert wanted <= summary.keys()
    assert summary["loss_mean"] == predicted.loss_mean.iloc[-1]


@pytest.mark.parametrize("algorithm", ["p2pl", "dgd"])
def test_half_steps_left_out_are_left_out_by_both_and_change_nothing_else(algorithm, tmp_path, capsys):
    spec = SPEC | {"algorithm": algorithm, "evaluation": SPEC["evaluation"] | {"every": 2}}
    if algorithm == "dgd":
        spec["training"] = SPEC["training"] | {"steps": 1}
    (tmp_path / "all").mkdir()
    whole = [load(file) for file in both(spec, tmp_path / "all", capsys)[:2]]
    spec["evaluation"] = spec["evaluation"] | {"half_steps": False}
    run, theory, _ = both(spec, tmp_path, capsys)
    for full, ends in zip(whole, (load(run), load(theory)), strict=True):
        assert list(ends["round"]) == [0, 2, 3]
        last = full.groupby("round").tail(1).drop(columns="run").reset_index(drop=True)
        pd.testing.assert_frame_equal(ends.drop(columns="run"), last)
    found, _ = errors(run, theory, capsys)
    assert all(0 <= found[name] < 0.2 for name in MEASURES)
    assert len(read_outputs(run, load(run).run[0])["rounds"]) == 3


def test_the_errors_are_small_for_a_wide_network_and_rounding_for_a_linear_one(tmp_path, capsys):
    run, theory, _ = both(SPEC, tmp_path, capsys)
    found, _ = errors(run, theory, capsys)
    assert found.keys() == MEASURES | {"run", "seed", "growth_onset_lr", "kernel_drift", "warnings"}
    assert all(1e-6 < found[name] < 0.2 for name in MEASURES - {"test_accuracy"})
    run, theory, _ = both(SPEC | {"model": {"name": "linear", "bias": True}, "dtype": "float64"}, tmp_path, capsys)
    found, _ = errors(run, theory, capsys)
    assert all(found[name] < 1e-10 for name in MEASURES)


def test_a_table_of_errors_says_what_is_printed_and_of_which_specs(tmp_path, capsys):
    run, theory, _ = both(SPEC, tmp_path, capsys, "--seeds", "0,1")
    found, _ = errors(run, theory, capsys, "--out", tmp_path / "e.parquet")
    table = load(tmp_path / "e.parquet")
    assert table.attrs["specs"] == load(run).attrs["specs"]
    for row, one in zip(table.to_dict("records"), found["runs"], strict=True):
        assert all(row[name] == one[name] for name in MEASURES | {"run", "seed", "kernel_drift"})


def test_what_has_not_kept_its_outputs_is_run_again(tmp_path, capsys):
    run, theory, _ = both(SPEC, tmp_path, capsys, "--seeds", "0,1")
    whole, said = errors(run, theory, capsys)
    assert said == ""
    assert [one["seed"] for one in whole["runs"]] == [0, 1]
    beside(run).unlink()
    beside(theory).unlink()
    again, said = errors(run, theory, capsys)
    assert "no outputs beside it" in said
    for one, other in zip(whole["runs"], again["runs"], strict=True):
        assert all(one[name] == pytest.approx(other[name], rel=1e-5) for name in MEASURES)


def test_outputs_are_those_of_the_devices(tmp_path, capsys):
    run, theory, _ = both(SPEC, tmp_path, capsys)
    frame = load(run)
    key = frame.run[0]
    arrays = read_outputs(run, key)
    assert list(arrays["rounds"]) == list(frame["round"])
    assert list(arrays["phases"]) == list(frame.phase)
    assert arrays["train"].shape == (7, 4, 40, 10)
    assert arrays["test"].shape == (7, 4, 60, 10)
    assert read_outputs(theory, key)["start"] == pytest.approx(arrays["start"])
    assert read_outputs(run, "another") is None
    beside(run).write_bytes(beside(run).read_bytes()[:1000])
    code, _, err = p2pl("compare", run, theory, capsys=capsys)
    assert (code, "cannot be read as outputs" in err) == (2, True)


WRONG = [
    ({"loss": "cross_entropy"}, "loss: the theory predicts the squared error, not cross_entropy: set loss: mse"),
    (
        {"failures": {"name": "lost_packets", "rate": 0.1}, "model": {"name": "mlp", "hidden": [1024]}},
        "(lost_packets) give each part of the model weights of its own: the slopes of 76,810 parameters at 100 samples",
    ),
    ({"samples": 1000}, "kernels of N = 1,000 training and 60 test samples of C = 10 outputs have"),
    ({"model": {"name": "mlp", "alpha": 4.0}, "initialization": "max_norm"}, "set initialization: shared"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=lambda case: str(case)[:30])
def test_what_the_theory_cannot_treat_is_said_and_leaves_no_file(change, message, tmp_path, capsys):
    out = tmp_path / "t.parquet"
    code, text, err = p2pl("predict", json.dumps(SPEC | change), "--out", out, "--memory", 0.1, capsys=capsys)
    assert (code, text) == (2, "")
    assert message in err
    assert not list(tmp_path.iterdir())


def test_cuts_make_it_better_and_say_how_much_they_changed(tmp_path, capsys):
    spec = SPEC | {"model": SPEC["model"] | {"hidden": [256]}, "rounds": 8}
    run, once, _ = both(spec, tmp_path, capsys)
    cut, twice = tmp_path / "c.parquet", tmp_path / "d.parquet"
    _, text, _ = p2pl("predict", json.dumps(spec), "--out", cut, "--cuts", "geometric", "--json", capsys=capsys)
    jumps = json.loads(text)["jumps"]
    assert list(jumps) == ["2", "4"]
    assert all(0 < jump < 0.1 for jump in jumps.values())
    assert p2pl("predict", json.dumps(spec), "--out", twice, "--cuts", "2,4", capsys=capsys)[0] == 0
    assert load(cut).equals(load(twice))
    assert errors(run, cut, capsys)[0]["test_predictions"] < 0.5 * errors(run, once, capsys)[0]["test_predictions"]
    for wrong in ("0", "a", "1.5"):
        assert "--cuts" in p2pl("predict", json.dumps(spec), "--out", cut, "--cuts", wrong, capsys=capsys)[2]


def test_files_that_do_not_go_together_are_told_apart(tmp_path, capsys):
    run, theory, _ = both(SPEC, tmp_path, capsys)
    assert "takes RUN, then THEORY" in p2pl("compare", theory, run, capsys=capsys)[2]
    other = tmp_path / "o.parquet"
    p2pl("predict", json.dumps(SPEC | {"seed": 7}), "--out", other, capsys=capsys)
    assert "no run in common" in p2pl("compare", run, other, capsys=capsys)[2]


FAR = [
    ({"initialization": "independent"}, "apart"),
    ({"samples": 200, "model": "linear"}, "kernel is singular"),
    ({"training": SPEC["training"] | {"lr": 3.0}, "model": {"name": "mlp", "hidden": [8]}}, "the kernel has moved"),
]


@pytest.mark.parametrize(("change", "message"), FAR, ids=lambda case: str(case)[:30])
def test_a_prediction_out_of_range_is_warned_of(change, message, tmp_path, capsys):
    run, theory, _ = both(SPEC | change, tmp_path, capsys)
    assert message in " ".join(errors(run, theory, capsys)[0]["warnings"])


def test_a_prediction_that_grows_without_bound_ends_as_a_diverged_run_does(tmp_path, capsys):
    wild = SPEC | {"training": {"lr": 1e4, "batch_size": "full"}, "model": "linear", "rounds": 40}
    code, text, _ = p2pl("predict", json.dumps(wild), "--out", tmp_path / "t", "--json", capsys=capsys)
    assert code == 0
    summary = json.loads(text)
    assert summary["status"].startswith("diverged at round ")
    assert "past the onset of growth" in summary["warnings"][0]
    assert 0 < summary["growth_onset_lr"] < 1e4
    assert "NaN" not in text
