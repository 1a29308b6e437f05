"""Intervals against scipy's, by how often they cover, and the one rule for curves whose seeds end early."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from p2pl.stats import band, first_reached, last_phase, paired_difference, t_interval

numbers = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20).filter(lambda values: np.std(values) > 1e-6)


@given(numbers, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_t_interval_is_scipys(values: list[float], confidence: float) -> None:
    low, high = scipy.stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=scipy.stats.sem(values))
    ours = t_interval(values, confidence)
    np.testing.assert_allclose([ours.low, ours.high], [low, high], rtol=1e-9, atol=1e-9)
    assert ours.n == len(values)


@pytest.mark.parametrize("n", [2, 5, 10])
def test_t_interval_covers_as_often_as_it_says(n: int) -> None:
    samples = np.random.default_rng(1).normal(3.0, 2.0, (4000, n))
    intervals = [t_interval(sample) for sample in samples]
    coverage = np.mean([i.low <= 3.0 <= i.high for i in intervals])
    assert abs(coverage - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)


def test_one_value_has_no_spread_and_wrong_values_are_refused() -> None:
    alone = t_interval([0.7])
    assert alone.mean == 0.7
    assert alone.n == 1
    assert np.isnan([alone.low, alone.high]).all()
    for wrong in ([], [0.1, float("nan")], [float("inf"), 1.0]):
        with pytest.raises(ValueError, match="finite values"):
            t_interval(wrong)


def table(ends: dict[tuple[str, int], int], rounds: int = 4) -> pd.DataFrame:
    """Rows of (arm, seed) that end before round `ends` (not at all by default)."""
    rng = np.random.default_rng(0)
    rows = [
        {"arm": arm, "run": f"{arm}{seed}", "seed": seed, "round": r, "phase": phase, "value": rng.random()}
        for arm in "ab"
        for seed in range(3)
        for r in range(min(rounds + 1, ends.get((arm, seed), rounds + 1)))
        for phase in (["start"] if r == 0 else ["learn", "cooperate"])
    ]
    return pd.DataFrame(rows)


def test_band_is_the_t_interval_of_each_round() -> None:
    rows = last_phase(table({}))
    assert set(rows["phase"]) == {"start", "cooperate"}
    points = band(rows, ["arm"], "value")
    assert len(points) == 2 * 5
    for point in points.to_dict("records"):
        chosen = rows[(rows["arm"] == point["arm"]) & (rows["round"] == point["round"])]
        expected = t_interval(chosen["value"])
        np.testing.assert_allclose([point[k] for k in expected._fields], expected, rtol=1e-12)


def test_a_curve_ends_before_the_first_round_that_not_all_seeds_reached() -> None:
    points = band(last_phase(table({("a", 1): 3})), ["arm"], "value")
    assert points.groupby("arm")["round"].max().to_dict() == {"a": 2, "b": 4}
    assert (points["n"] == 3).all()
    assert np.isfinite(points[["mean", "low", "high"]]).all(axis=None)


def test_band_refuses_rows_that_are_not_independent() -> None:
    with pytest.raises(ValueError, match="several rows for one seed"):
        band(table({}), ["arm"], "value")  # both phases
    with pytest.raises(ValueError, match="several rows for one seed"):
        band(last_phase(table({})).assign(all=0), ["all"], "value")  # both arms


def test_band_keeps_curves_whose_label_is_null() -> None:
    rows = last_phase(table({})).replace({"arm": {"a": None}})
    assert len(band(rows, ["arm"], "value")) == 2 * 5


def test_paired_difference_cancels_what_seeds_share() -> None:
    shared = pd.Series([5.0, -3.0, 9.0, 0.0], index=[0, 1, 2, 3])
    difference = pd.Series([1.0, 1.1, 0.9, 1.0], index=[3, 2, 1, 0])
    found = paired_difference(shared + difference, shared)
    np.testing.assert_allclose(found, t_interval(difference), rtol=1e-12)
    assert found.high - found.low < 0.5
    with pytest.raises(ValueError, match="not paired"):
        paired_difference(shared, shared.iloc[:3])


def test_first_reached_is_found_or_censored() -> None:
    rows = pd.DataFrame(
        {"arm": "a", "seed": [0, 0, 0, 1, 1], "round": [0, 1, 2, 0, 1], "value": [0.1, 0.9, 0.8, 0.2, 0.7]}
    )
    found = first_reached(rows, ["arm"], "value", 0.8)
    assert found["reached"].fillna(-1).tolist() == [1, -1]
    assert found["last"].tolist() == [2, 1]
