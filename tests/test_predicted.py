"""What the figures of predictions say of errors and of settings."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from p2pl.experiment import Experiment
from paper_figures.captions import diverged, setting
from paper_figures.claims_of_theory import width
from paper_figures.fig15_prediction_errors import errors_against
from paper_figures.predicted import plain, units


def errors(widths=(16, 64, 256), seeds=(0, 1, 2)):
    """Errors of 80 % / sqrt(width), twice as large on each following seed."""
    rows, specs = [], {}
    for units_, seed in ((one, seed) for one in widths for seed in seeds):
        experiment = Experiment(dataset="digits", model={"name": "mlp", "hidden": [units_]}, seed=seed)
        specs[experiment.key] = experiment.spec()
        error = 0.8 * units_**-0.5 * 2**seed
        rows.append({"run": experiment.key, "seed": seed, "arm": "relu", "test_predictions": error})
    table = pd.DataFrame(rows)
    table.attrs |= {"specs": specs, "cells": [{"key": "", "seeds": [*seeds], "experiment": "", "arm": "relu"}]}
    table.attrs["status"] = dict.fromkeys(specs, "finished")
    return table


def test_errors_are_geometric_means_with_intervals_of_their_logarithms():
    points = errors_against(errors(), width, "test_predictions")
    assert points["x"].tolist() == [16, 64, 256]
    np.testing.assert_allclose(points["mean"], [40, 20, 10])
    half = 4.302652729749464 * np.log(2) / 3**0.5  # t of 2 degrees of freedom; ln 2 is the deviation of the logarithms
    np.testing.assert_allclose(points["high"] / points["mean"], np.exp(half))
    np.testing.assert_allclose(points["mean"] / points["low"], np.exp(half))


@pytest.mark.parametrize("missing", [0.0, np.nan])
def test_no_mean_is_taken_over_the_seeds_that_happen_to_have_an_error(missing):
    table = errors()
    table.loc[0, "test_predictions"] = missing
    assert errors_against(table, width, "test_predictions")["x"].tolist() == [64, 256]


def test_the_setting_is_what_two_thirds_of_the_runs_share():
    runs = [Experiment(rounds=9, training={"lr": rate}, failures=["churn"]) for rate in (0.1, 0.1, 0.2)]
    assert setting(runs) == "topology = ring, failures = churn, training.lr = 0.1"
    assert setting(runs[1:]) == "topology = ring, failures = churn"


def test_a_diverged_run_is_told_from_a_diverged_prediction_and_said_once():
    table = errors(widths=(16,))
    last = table["run"].iloc[-1]
    table.attrs["status"] = {**table.attrs["status"], last: "diverged at round 3"}
    predicted = table.assign(source="theory")
    said = diverged({"runs": table, "errors": table, "theory": predicted})
    assert said == "Diverged: relu, seed 2, diverged at round 3; prediction of relu, seed 2, diverged at round 3."


@pytest.mark.parametrize(
    ("low", "high", "ticks"), [(1, 8, "1 1.5 2 3 5 7"), (0.4, 30, "0.5 1 2 5 10 20"), (1e-3, 5, "0.001 0.01 0.1 1")]
)
def test_logarithmic_axes_have_plain_numbers_and_no_more_than_fit(low, high, ticks):
    ax = Figure().subplots()
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    plain(ax.yaxis)
    assert [label.get_text() for label in ax.get_yticklabels()] == ticks.split()


def test_widths_are_said_in_words():
    assert units("[1024]") == "1024 units"
    assert units("[64, 32]") == "64, 32 units"
