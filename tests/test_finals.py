"""Where curves end, and what synchronization gains: what is missing is shown as missing, where the truth is known."""

import pandas as pd
import pytest
from made_up import runs
from matplotlib.figure import Figure

from p2pl import Experiment
from paper_figures.finals import draw_finals, final
from paper_figures.gains import draw_gain, gains
from paper_figures.style import Look

ROUNDS = 10
LOOK = Look("black", "-", "o")


def table_of(*parts: pd.DataFrame) -> pd.DataFrame:
    """Runs of one experiment, told apart by seed and part."""
    parts = tuple(part.assign(run=[f"{number}-{seed}" for seed in part.seed]) for number, part in enumerate(parts))
    table = pd.concat(parts, ignore_index=True)
    spec = Experiment(rounds=ROUNDS, evaluation={"target": 0.5}).spec()
    table.attrs["specs"] = dict.fromkeys(table["run"], spec)
    return table


def with_one_diverged() -> pd.DataFrame:
    """Three values of x; a seed of the second ends early."""
    whole = [runs([0.8, 0.8], ROUNDS, rate=100, arm="a", x=x) for x in (1, 2, 3)]
    whole[1] = whole[1][(whole[1]["seed"] == 0) | (whole[1]["round"] < ROUNDS)]
    return final(table_of(*whole), ["arm", "x"], "accuracy_mean")


def test_a_value_with_which_a_seed_diverged_has_no_final_mean():
    points = with_one_diverged()
    assert points["mean"].tolist() == pytest.approx([0.8, float("nan"), 0.8], nan_ok=True)
    assert points["round"].tolist() == [ROUNDS] * 3


def test_a_cross_and_no_line_where_there_is_no_mean():
    ax = Figure().subplots()
    draw_finals(ax, with_one_diverged(), "arm", "x", {"a": LOOK})
    drawn = sorted((line.get_marker(), list(line.get_xdata())) for line in ax.get_lines())
    assert drawn == [("o", [1]), ("o", [3]), ("x", [2])]


def test_gains_are_bounds_where_one_start_fails_and_unknown_where_both_do():
    table = table_of(
        runs([0.9, 0.9, 0.9, 0.1], ROUNDS, rate=2, initialization="max_norm", x=1),
        runs([0.9, 0.9, 0.1, 0.1], ROUNDS, rate=1, initialization="independent", x=1),
    )
    found = gains(table, "x")
    assert found["seed"].tolist() == [0, 1, 2, 3]
    assert found["bound"].tolist() == pytest.approx([0, 0, -1, float("nan")], nan_ok=True)
    assert (found["gain"][:3] < 0).all()
    assert found["gain"].isna().tolist() == [False, False, False, True]

    ax = Figure().subplots()
    draw_gain(ax, found, "x", LOOK, aside=0)
    assert {line.get_marker(): len(line.get_xdata()) for line in ax.get_lines()} == {"o": 2, "v": 1, "x": 1}
    assert [text.get_text() for text in ax.texts] == ["1/4"]


def test_a_mean_over_bounds_is_open_and_has_no_interval():
    seeds = pd.DataFrame({"x": 1, "gain": [-1.0, -2.0], "bound": [0, 0]})
    exact, bounded = Figure().subplots(1, 2)
    draw_gain(exact, seeds, "x", LOOK, aside=0)
    draw_gain(bounded, seeds.assign(bound=[0, -1]), "x", LOOK, aside=0)
    assert [len(line.get_xdata()) for line in exact.get_lines()] == [2, 2, 1]  # seeds, interval, mean
    assert [len(line.get_xdata()) for line in bounded.get_lines()] == [1, 1, 1]  # a seed, a bound, the mean
    assert exact.get_lines()[-1].get_markerfacecolor() == "black"
    assert bounded.get_lines()[-1].get_markerfacecolor() == "white"
