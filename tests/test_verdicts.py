"""Verdicts on made-up results whose truth is known: effects are found, null effects are called so at their rate."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import runs

from p2pl.effects import Difference, RoundsRatio
from p2pl.stats import Interval, t_interval
from p2pl.verdicts import Claim, above, below, judge, within

NO_BOUND = pd.Series([0, 0, 0])


def claim(effect, rule):
    return Claim("made-up", "Made up.", "[C]", "e", effect, rule)


DIFFERENCE = Difference({"arm": "a"}, {"arm": "b"})


def table_of_differences(differences, noise):
    """Two arms whose final accuracies differ by so many points, in a field of much larger noise that seeds share."""
    shared = 0.5 + noise * np.random.default_rng(0).random(len(differences))
    last = 1 - math.exp(-4)
    return pd.concat([runs((shared + differences) / last, arm="a"), runs(shared / last, arm="b")])


def test_a_true_effect_is_found_through_noise_that_pairing_cancels():
    small = np.random.default_rng(1).normal(0.03, 0.005, 5)
    found = judge(claim(DIFFERENCE, above(2)), {"e": table_of_differences(small, noise=0.4)})
    assert found.verdict == "holds"
    assert found.interval.mean == pytest.approx(100 * small.mean())
    assert judge(claim(DIFFERENCE, below(0)), {"e": table_of_differences(small, noise=0.4)}).verdict == "does not hold"
    assert judge(claim(DIFFERENCE, above(3)), {"e": table_of_differences(small, noise=0.4)}).verdict == "undecided"


@pytest.mark.parametrize("seeds", [3, 5, 20])
def test_a_null_effect_is_called_one_no_more_often_than_its_rate(seeds):
    """2.5 % on either side, of 4,000 experiments: within four standard errors."""
    rng, count = np.random.default_rng(seeds), 4000
    verdicts = [above(0).judge(t_interval(sample), NO_BOUND) for sample in rng.normal(0, 1, (count, seeds))]
    error = math.sqrt(0.025 * 0.975 / count)
    assert abs(verdicts.count("holds") / count - 0.025) < 4 * error
    assert abs(verdicts.count("does not hold") / count - 0.025) < 4 * error


@given(st.floats(-5, 5), st.floats(0, 5), st.floats(0.1, 3))
def test_rules_are_about_whole_intervals(mean, half, limit):
    interval = Interval(mean, mean - half, mean + half, 5)
    assert (above(limit).judge(interval, NO_BOUND) == "holds") == (interval.low > limit)
    assert (above(limit).judge(interval, NO_BOUND) == "does not hold") == (interval.high < limit)
    mirrored = Interval(-mean, -interval.high, -interval.low, 5)
    assert below(-limit).judge(mirrored, NO_BOUND) == above(limit).judge(interval, NO_BOUND)
    equivalent = -limit < interval.low and interval.high < limit
    assert (within(limit).judge(interval, NO_BOUND) == "holds") == equivalent
    refuted = interval.low > limit or interval.high < -limit
    assert (within(limit).judge(interval, NO_BOUND) == "does not hold") == refuted


def test_a_difference_too_small_to_matter_does_not_refute_equality():
    """Both intervals exclude 0; the first may well lie within the limit, the second cannot."""
    assert within(0.1).judge(Interval(0.07, 0.02, 0.12, 25), NO_BOUND) == "undecided"
    assert within(0.1).judge(Interval(0.17, 0.12, 0.22, 25), NO_BOUND) == "does not hold"
    assert within(0.1).judge(Interval(-0.17, -0.22, -0.12, 25), pd.Series([0, 1, 0])) == "undecided"


def test_a_rule_may_ask_for_more_than_a_sign():
    faint = Interval(-0.1, -0.15, -0.05, 5)
    assert below(0).judge(faint, NO_BOUND) == "holds"
    assert below(0, mean=-0.3).judge(faint, NO_BOUND) == "undecided"


def test_one_seed_decides_nothing():
    assert above(0).judge(Interval(5.0, float("nan"), float("nan"), 1), NO_BOUND) == "undecided"


def test_a_target_that_was_not_reached_is_a_bound_and_not_a_number():
    """`a` never gets there: it is slower by an unknown factor, so nothing shows that it is not much slower."""
    table = pd.concat([runs([0.7] * 5, arm="a"), runs([0.95] * 5, arm="b")])
    slower = RoundsRatio({"arm": "a"}, {"arm": "b"}, 0.9)
    values, bound, _ = slower.measure(table)
    assert (values > 0).all()
    assert (bound == 1).all()
    assert judge(claim(slower, above(0)), {"e": table}).verdict == "holds"
    assert judge(claim(slower, below(5)), {"e": table}).verdict == "undecided"
    assert judge(claim(slower, within(5)), {"e": table}).verdict == "undecided"
    assert judge(claim(slower, below(0)), {"e": table}).verdict == "does not hold"
    neither = RoundsRatio({"arm": "a"}, {"arm": "b"}, 0.99)
    assert judge(claim(neither, below(0)), {"e": table}).interval.n == 0


def test_seeds_of_which_nothing_is_known_are_not_left_out_of_a_verdict():
    """Four seeds show a clear effect; with the fifth neither of the two got there."""
    table = pd.concat([runs([0.95] * 4 + [0.5], rate=0.8, arm="a"), runs([0.95] * 4 + [0.5], rate=0.4, arm="b")])
    faster = RoundsRatio({"arm": "a"}, {"arm": "b"}, 0.8)
    found = judge(claim(faster, below(0)), {"e": table})
    assert (found.interval.n, found.measured.unknown, found.verdict) == (4, 1, "undecided")
    assert judge(claim(faster, below(0)), {"e": table[table.seed < 4]}).verdict != "undecided"


@pytest.mark.parametrize("where", [{"arm": "c"}, {"failures.rate": 0.5}])
def test_a_claim_about_nothing_is_not_run(where):
    assert judge(claim(Difference({"arm": "a"}, where), above(0)), {"e": runs([0.9], arm="a")}).verdict == "not run"
    with pytest.raises(ValueError, match="no table"):
        judge(claim(DIFFERENCE, above(0)), {})
