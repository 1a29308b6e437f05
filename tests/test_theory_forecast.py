"""Forecasts against the runs they stand for: exact where nothing is left out, near where little is."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from p2pl import data
from p2pl.cli import main
from p2pl.engine import simulate
from p2pl.experiment import Experiment
from p2pl.registry import SpecError
from theory.forecast import Forecast, Method
from theory.forecast import forecast as forecasts
from theory.restricted import leading

SPEC = {
    "dataset": "digits",
    "devices": 6,
    "samples": 90,
    "partition": {"name": "classes", "per_device": 2},
    "initialization": "shared",
    "model": {"name": "mlp", "hidden": [12]},
    "rounds": 4,
    "training": {"lr": 0.05, "batch_size": 4},
    "evaluation": {"samples": 40},
}


def forecast(experiment: Experiment, **method: object) -> Forecast:
    (found,) = forecasts([experiment], data.load(experiment.dataset), Method(**method), [0.3])  # type: ignore[arg-type]
    return found


def agree(experiment: Experiment, found: Forecast, tolerance: float, columns: tuple[str, ...]) -> None:
    seen = {}
    for snapshot in simulate(experiment):
        seen[snapshot.round] = snapshot
    assert [row["round"] for row in found.rows] == list(range(experiment.rounds + 1))
    for row in found.rows:
        for name in columns:
            np.testing.assert_allclose(
                row[name], seen[row["round"]].measures[name], rtol=tolerance, atol=tolerance, err_msg=name
            )


EVERYTHING = ("loss_devices", "accuracy_devices", "consensus_distance", "loss_of_average", "bytes_sent", "messages")


@pytest.mark.parametrize(
    "change",
    [
        {"failures": {"name": "links", "rate": 0.4}, "topology": "star"},
        {"initialization": "independent", "mixing": "metropolis"},
        {"initialization": {"name": "max_norm", "fraction": 0.3}, "training.weight_decay": 0.1},
        {"algorithm": {"name": "dsgd", "order": "cta"}, "training.velocity": "reset"},
        {"algorithm": "dgd", "training.nesterov": True, "topology": "complete"},
        {"algorithm": {"name": "p2pl", "consensus_steps": 2, "mix_velocity": True}},
        {"loss": "mse", "model": {"name": "mlp", "hidden": [7, 5], "activation": "erf", "parametrization": "ntk"}},
        {"sizes": {"name": "power_law"}, "partition": "iid", "training.epochs": 2, "training.momentum": 0.0},
        {"model": {"name": "mlp", "hidden": [9], "bias": False}, "training.batch_size": "full"},
        {"model": "linear", "failures": {"name": "links", "rate": 0.5}},
    ],
    ids=str,
)
def test_with_all_directions_a_forecast_is_the_run(change):
    experiment = Experiment.of({**SPEC, "dtype": "float64"}).replace(**change)
    agree(experiment, forecast(experiment, directions=64), 1e-9, EVERYTHING)


def test_a_few_directions_are_near():
    experiment = Experiment.of(SPEC).replace(topology="star", rounds=12)
    seen = [one.measures["loss_mean"] for one in simulate(experiment) if one.phase != "learn"]
    said = ([row["loss_mean"] for row in forecast(experiment, directions=count).rows] for count in (8, 24))
    few, more = (np.abs(np.divide(losses, seen) - 1).max() for losses in said)
    assert more < 0.01
    assert few > more


@pytest.mark.parametrize("method", [{"directions": 9}, {"by": "path", "anchors": 3}], ids=str)
def test_side_by_side_settings_are_as_each_alone(method):
    base = Experiment.of({**SPEC, "rounds": 3, "sizes": {"name": "power_law"}})
    settings = [
        base.replace(topology="star", failures={"name": "links", "rate": 0.5}),
        base.replace(topology="complete", failures={"name": "delay", "steps": 1}),
        base.replace(mixing="metropolis"),
    ]
    together = forecasts(settings, data.load("digits"), Method(**method))
    assert len({one.rows[-1]["loss_mean"] for one in together}) == len(settings)
    for experiment, one in zip(settings, together, strict=True):
        for row, alone in zip(one.rows, forecast(experiment, **method).rows, strict=True):
            rounded = (name for name, value in alone.items() if isinstance(value, float | list))
            assert row == alone | {name: pytest.approx(alone[name], rel=1e-6) for name in rounded}
        assert one.summary["spec"] == experiment.spec()


@pytest.mark.parametrize("change", [{"initialization": "independent"}, {"sizes": {"name": "power_law"}}], ids=str)
@pytest.mark.parametrize("hidden", [4, 12])
def test_weights_along_no_direction_decay_and_mix_as_in_the_run(change, hidden):
    experiment = Experiment.of({**SPEC, "dtype": "float64", "model": {"name": "mlp", "hidden": [hidden]}, **change})
    experiment = experiment.replace(topology="star", training={"lr": 1e-14, "weight_decay": 3e12})
    found = forecast(experiment, directions=3)
    agree(experiment, found, 1e-9, ("consensus_distance",))
    assert min(row["consensus_distance"] for row in found.rows[1:]) > 1e-3


def test_a_forecast_diverges_with_its_run():
    experiment = Experiment.of(SPEC).replace(**{"training.lr": 1e30})
    *_, last = simulate(experiment)
    found = forecast(experiment, directions=64)
    assert found.summary["status"] == last.status == f"diverged at round {last.round}"
    assert [row["round"] for row in found.rows] == list(range(last.round))


def test_directions_begin_with_the_sums_of_classes_and_end_with_all_that_inputs_span():
    draws = torch.Generator().manual_seed(0)
    train, test = (torch.randn(n, 7, generator=draws, dtype=torch.float64) for n in (12, 4))
    train, test = train * torch.tensor([3, 2, 1, 1, 0, 0, 0]), test * torch.tensor([1, 1, 1, 1, 1, 0, 0])
    wanted = F.one_hot(torch.arange(12) % 2).double()
    found = leading(train, wanted, test, 9)
    assert found.shape == (7, 5)
    torch.testing.assert_close(found.T @ found, torch.eye(5).double())
    torch.testing.assert_close(leading(train, wanted, test, 3), found[:, :3])
    for one, count in ((wanted.T @ train, 2), (wanted.T @ train @ train.T @ train, 4), (train, 4), (test, 5)):
        torch.testing.assert_close(one @ found[:, :count] @ found[:, :count].T, one)


@pytest.mark.parametrize("change", [{}, {"algorithm": "dgd"}, {"loss": "mse", "sizes": {"name": "power_law"}}], ids=str)
def test_on_a_linear_model_a_path_is_the_run(change):
    experiment = Experiment.of({**SPEC, "dtype": "float64", "failures": {"name": "links", "rate": 0.3}})
    experiment = experiment.replace(model={"name": "linear", "bias": True}, **change)
    agree(experiment, forecast(experiment, by="path", anchors=3), 1e-9, ("loss_devices", "accuracy_devices"))


def test_a_path_is_near_a_run_whose_devices_have_like_data():
    experiment = Experiment.of(SPEC).replace(partition="iid", **{"model.hidden": [64]}, samples=300, rounds=8)
    *_, last = simulate(experiment)
    row = forecast(experiment, by="path", anchors=5).rows[-1]
    assert abs(row["accuracy_mean"] - last.measures["accuracy_mean"]) < 0.06


@pytest.mark.parametrize(
    ("change", "method", "message"),
    [
        ({"model": "cnn", "dataset": "digits"}, {}, "no multi-layer perceptron.*--by path"),
        ({"algorithm": {"name": "p2pl", "eta_d": 0.5}}, {}, "affinity"),
        ({"failures": {"name": "lost_packets", "rate": 0.1}}, {}, "not of packets"),
        ({"algorithm": "fedavg"}, {}, "p2pl run"),
        ({"initialization": "independent"}, {"by": "path"}, "initialization: shared"),
        ({"training.weight_decay": 0.1}, {"by": "path"}, "by span"),
        ({"algorithm": {"name": "p2pl", "mix_velocity": True}}, {"by": "path"}, "by span"),
    ],
    ids=str,
)
def test_what_is_not_covered_is_refused(change, method, message):
    experiment = Experiment.of(SPEC).replace(**change)
    with pytest.raises(SpecError, match=message):
        forecast(experiment, **method)


def test_the_command_forecasts_a_grid(tmp_path, capsys):
    out = tmp_path / "f.parquet"
    spec = json.dumps({**SPEC, "rounds": 2})
    arguments = ["--topologies", "ring,star", "--failures", "0,{name: bursts, loss: 0.2}", "--targets", "0.1,0.99"]
    assert main(["forecast", spec, *arguments, "--out", str(out), "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert len(runs) == 4
    assert {run["source"] for run in runs} == {"forecast"}
    assert runs[0]["rounds_to"]["0.99"] is None
    import pandas as pd

    table = pd.read_parquet(out)
    assert set(table["source"]) == {"forecast"}
    assert table.groupby("run").size().tolist() == [3] * 4
    assert main(["forecast", spec, "--topologies", "rign"]) == 2
    assert "did you mean 'ring'" in capsys.readouterr().err
