"""Effects on made-up results whose truth is known."""

import math

import numpy as np
import pandas as pd
import pytest
from made_up import runs

from p2pl import Experiment
from p2pl.effects import Difference, NotRun, PhaseGap, Recovered, RoundsRatio, Slope, rounds_to
from p2pl.stats import last_phase


def test_rounds_are_interpolated_and_ratios_are_of_rates():
    """Twice the rate is half the rounds, exactly so but for the interpolation between rounds."""
    table = pd.concat([runs([0.9, 0.9], rate=0.2, rounds=30, arm="a"), runs([0.9, 0.9], rate=0.1, rounds=30, arm="b")])
    exact = -math.log(1 - 0.8 / 0.9) / 0.2
    assert rounds_to(table[table.arm == "a"], "accuracy_mean", 0.8)["rounds"].iloc[0] == pytest.approx(exact, abs=0.1)
    values, bound, _ = RoundsRatio({"arm": "a"}, {"arm": "b"}, 0.8).measure(table)
    assert values.tolist() == pytest.approx([-1, -1], abs=0.02)
    assert bound.tolist() == [0, 0]


def test_a_difference_to_a_number_or_of_two_values():
    table = runs([0.8, 0.9], rounds=40, arm="a").assign(accuracy_min=lambda t: t.accuracy_mean - 0.1)
    assert Difference({"arm": "a"}, 0.97).measure(table).values.tolist() == pytest.approx([-17, -7], abs=1e-3)
    spread = Difference({"arm": "a"}, {"arm": "a"}, "accuracy_min", value_of_b="accuracy_mean")
    assert spread.measure(table).values.tolist() == pytest.approx([-10, -10])


def test_a_run_that_diverged_counts_as_worse_than_it_was():
    table = pd.concat([runs([0.8, 0.8, 0.8], arm="a"), runs([0.7, 0.7, 0.7], arm="b")])
    gone = (table.arm == "a") & (table.seed == 1) | (table.arm == "b") & (table.seed == 2)
    values, bound, _ = Difference({"arm": "a"}, {"arm": "b"}).measure(table[~(gone & (table["round"] >= 3))])
    early = 10 * (1 - math.exp(-0.8))
    assert values.tolist() == pytest.approx([10 * (1 - math.exp(-4)), early, early])
    assert bound.tolist() == [0, -1, 1]
    _, bound, _ = Difference({"arm": "a"}, 0.5).measure(table[~(gone & (table["round"] >= 3))])
    assert bound.tolist() == [0, -1, 0]
    short = rounds_to(table[(table.arm == "a") & ~(gone & (table["round"] >= 3))], "accuracy_mean", 0.75)
    assert short["rounds"].tolist()[1] == 10
    assert short["reached"].tolist() == [True, False, True]


@pytest.mark.parametrize("effect", [Difference, RoundsRatio, PhaseGap])
def test_two_runs_of_one_seed_are_not_taken_for_one(effect):
    """Such as when a table adds a grid that the claim does not know of."""
    rates = [runs([0.9], rate=0.1 * (1 + lr), arm=arm, lr=lr) for arm in "ab" for lr in (0, 1)]
    options = (0.5,) if effect is RoundsRatio else ()
    with pytest.raises(ValueError, match="several runs of one seed"):
        effect({"arm": "a"}, {"arm": "b"}, *options).measure(pd.concat(rates))


@pytest.mark.parametrize("gone", [{1}, {0, 1, 2}], ids=["one", "all"])
def test_a_run_that_diverged_before_it_was_measured_again_is_not_left_out(gone):
    table = pd.concat([runs([0.8, 0.8, 0.8], arm="a"), runs([0.7, 0.7, 0.7], arm="b")])
    early = (table.arm == "a") & table.seed.isin(gone) & (table["round"] > 0)
    values, bound, _ = Difference({"arm": "a"}, {"arm": "b"}).measure(table[~early])
    assert {seed for seed in bound.index if bound[seed] == -1} == gone
    assert [values[seed] for seed in gone] == [0] * len(gone)


def test_the_target_is_the_runs_own():
    table = pd.concat([runs([0.9], rate=0.2, rounds=30, arm="a"), runs([0.9], rate=0.1, rounds=30, arm="b")])
    table = table.assign(run="r")
    table.attrs["specs"] = {"r": Experiment(evaluation={"target": 0.7}).spec()}
    own = RoundsRatio({"arm": "a"}, {"arm": "b"}).measure(table)
    assert own.values.tolist() == RoundsRatio({"arm": "a"}, {"arm": "b"}, 0.7).measure(table).values.tolist()


@pytest.mark.parametrize("half_steps", [True, False])
@pytest.mark.parametrize("order", [["learn", "cooperate"], ["cooperate", "learn"]])
def test_methods_are_compared_after_cooperation_or_where_rounds_end_if_only_that_was_measured(order, half_steps):
    table = runs([0.6, 0.7], arm="a", run="r")
    place = table["phase"].map({"start": 0, order[0]: 0, order[1]: 1})
    table = table.assign(place=place).sort_values(["seed", "round", "place"], kind="stable")
    if not half_steps:
        table = table.drop_duplicates(["seed", "round"], keep="last")
    end = "learn" if order[1] == "learn" and not half_steps else "cooperate"
    assert set(last_phase(table, run="seed")["phase"]) == {"start", end}
    lower = 5 if end == "learn" else 0
    found = Difference({"arm": "a"}, 0.5).measure(table).values
    levels = [10 - lower - 60 * math.exp(-4), 20 - lower - 70 * math.exp(-4)]
    assert found.tolist() == pytest.approx(levels)
    assert RoundsRatio({"arm": "a"}, {"arm": "a"}, target=0.4).measure(table).values.tolist() == [0, 0]


def test_the_gap_between_the_phases():
    """Made-up runs are 5 points lower after learning; noisier ones swing by what is taken away besides."""
    table = pd.concat([runs([0.8, 0.9], arm="a"), runs([0.8, 0.9], arm="b")])
    deeper = (table.arm == "b") & (table.phase == "learn") & (table["round"] > 6)
    table.loc[deeper, "accuracy_mean"] -= 0.02
    assert PhaseGap({"arm": "a"}).measure(table).values.tolist() == pytest.approx([5, 5])
    assert PhaseGap({"arm": "b"}).measure(table).values.tolist() == pytest.approx([7, 7])
    assert PhaseGap({"arm": "b"}, {"arm": "a"}).measure(table).values.tolist() == pytest.approx([2, 2])
    with pytest.raises(NotRun):
        PhaseGap({"arm": "a"}).measure(table[table.phase != "learn"])
    early = (table.seed == 1) & (table["round"] > 8)
    values, _, unknown = PhaseGap({"arm": "a"}).measure(table[~early])
    assert (values.tolist(), unknown) == (pytest.approx([5]), 1)


def graph_label(diameter):
    return f"random_geometric(diameter={diameter})"


def table_of_gains(slope, seeds=3, rounds=60):
    """On graphs of diameter d learning without synchronization is slower by 2^(slope d), times a factor of the seed."""
    parts, specs = [], {}
    for diameter in (2, 4, 7):
        for way in ("max_norm", "independent"):
            for seed in range(seeds):
                rate = 0.3 * 2 ** (-slope * diameter - 0.2 * seed) if way == "independent" else 0.3
                key = f"{diameter} {way} {seed}"
                specs[key] = Experiment(topology={"name": "random_geometric", "diameter": diameter}).spec()
                one = runs([0.9], rate=rate, rounds=rounds, initialization=way, topology=graph_label(diameter), run=key)
                parts.append(one.assign(seed=seed))
    table = pd.concat(parts, ignore_index=True)
    table.attrs["specs"] = specs
    return table


SLOPE = Slope(
    RoundsRatio({"initialization": "max_norm"}, {"initialization": "independent"}, 0.8),
    "topology",
    lambda experiment: float(experiment.topology.options["diameter"]),
    among="random_geometric",
)


@pytest.mark.parametrize("slope", [-0.1, 0.0, 0.2])
def test_a_known_slope_is_found_seed_by_seed(slope):
    """The gain falls by `slope` doublings a unit of diameter; a seed's factor is in the intercept, not in the slope."""
    values, bound, _ = SLOPE.measure(table_of_gains(slope))
    assert values.to_numpy() == pytest.approx(np.full(3, -slope), abs=0.02)
    assert (bound == 0).all()


def test_a_slope_through_what_was_not_reached_is_a_bound_on_the_side_to_which_it_pulls():
    """On the graph of largest diameter the slow way never got there: the true gain is larger there, the slope lower."""
    values, bound, _ = SLOPE.measure(table_of_gains(0.4, seeds=1, rounds=25))
    assert (len(values), list(bound)) == (1, [-1])
    slower_everywhere = table_of_gains(0.0, rounds=25)
    slow = slower_everywhere.initialization == "independent"
    slower_everywhere.loc[slow, "accuracy_mean"] *= 0.5
    values, bound, _ = SLOPE.measure(slower_everywhere)
    assert bound.isna().all()


def test_a_slope_needs_two_values_of_its_factor():
    table = table_of_gains(0.1)
    one = table[table.topology == graph_label(2)]
    one.attrs["specs"] = table.attrs["specs"]
    with pytest.raises(NotRun):
        SLOPE.measure(one)


def test_rounds_ratio_of_equals_is_zero():
    table = pd.concat([runs([0.9, 0.8], arm="a"), runs([0.9, 0.8], arm="b")])
    assert RoundsRatio({"arm": "a"}, {"arm": "b"}, 0.7).measure(table).values.tolist() == [0, 0]
    assert math.isclose(rounds_to(table[table.arm == "a"], "accuracy_mean", 0.0)["rounds"].iloc[0], 0.5)


def test_what_is_brought_back_is_a_share_of_what_was_lost():
    table = pd.concat([
        runs([0.9, 0.8, 0.7], rate=9, arm="dense"),
        runs([0.5, 0.6, 0.7], rate=9, arm="sparse"),
        runs([0.6, 0.7, 0.9], rate=9, arm="merged"),
    ])  # fmt: skip
    effect = Recovered({"arm": "merged"}, {"arm": "sparse"}, {"arm": "dense"})
    values, bound, unknown = effect.measure(table)
    assert values.to_dict() == pytest.approx({0: 25, 1: 50})
    assert (list(bound), unknown) == ([0, 0], 1)
    early = pd.concat([table[table.arm != "dense"], table[(table.arm == "dense") & (table["round"] < 4)]])
    assert effect.measure(early).unknown == 3
