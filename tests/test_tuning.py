"""Tuning: the best value of a grid for each arm, and what takes it from there."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from commands import SPEC, p2pl
from made_up import runs

from p2pl import SpecError
from p2pl.results import load
from p2pl.sweep import index
from p2pl.table_files import read_table
from p2pl.tuning import at_edges, tune

LR = "training.lr"


def table(levels, diverged=()):
    """Results of arms with a grid of learning rates: levels[arm][lr] is the final accuracy."""
    parts = []
    for arm, known in levels.items():
        for lr, level in known.items():
            status = "diverged at round 3" if (arm, lr) in diverged else "finished"
            parts.append(runs([level, level + 0.02], **{"arm": arm, LR: lr, "status": status, "run": "r"}))
    frame = pd.concat(parts, ignore_index=True)
    frame.attrs["cells"] = [{"key": "k", "seeds": [0, 1], "experiment": "e", "arm": arm, LR: 0.1} for arm in levels]
    frame.attrs["specs"] = {"r": {"algorithm": "choco_sgd"}}
    return frame


def test_each_arm_gets_the_value_of_its_best_mean():
    found = tune(table({"a": {0.1: 0.7, 0.2: 0.8, 0.4: 0.6}, "b": {0.1: 0.9, 0.2: 0.8, 0.4: 0.1}}))
    assert [found[arm]["chosen"] for arm in "ab"] == [{LR: 0.2}, {LR: 0.1}]
    assert [found[arm]["at_edge"] for arm in "ab"] == [[], [LR]]
    assert found["a"]["accuracy"] == max(one["accuracy"] for one in found["a"]["tried"])
    assert found["a"]["tried"][0]["error"] == pytest.approx(0.01 * (1 - math.exp(-4)))
    assert [one[LR] for one in found["a"]["tried"]] == [0.1, 0.2, 0.4]
    json.dumps(found)


def test_an_arm_is_tuned_over_its_own_grid():
    """Another arm's key is none of its own, and of one value alone nothing was chosen."""
    frame, reach = table({"a": {0.1: 0.7, 0.2: 0.8, 0.4: 0.6}, "b": {0.2: 0.9}}), "algorithm.reach"
    frame[reach] = frame["arm"].map({"b": 3.0})
    frame.attrs["cells"][1][reach] = 3.0
    found = tune(frame)
    assert [found[arm]["chosen"] for arm in "ab"] == [{LR: 0.2}, {LR: 0.2, reach: 3.0}]
    assert [found[arm]["at_edge"] for arm in "ab"] == [[], []]
    assert at_edges(found) == []


def test_what_lies_at_an_edge_is_said():
    found = tune(table({"a": {0.1: 0.7, 0.2: 0.8}, "b": {0.1: 0.9, 0.2: 0.8, 0.4: 0.1}}))
    assert at_edges(found) == [f"a: {LR} = 0.2, the largest tried", f"b: {LR} = 0.1, the least tried"]


@pytest.mark.parametrize(
    ("key", "tried", "edge"),
    [
        ("algorithm.gamma", (0.4, 1.0), False),  # a share is at most 1
        ("algorithm.gamma", (1.0, 0.4), True),
        ("algorithm.reach", (0.4, 1.0), True),
        ("algorithm.gamma", (0.0, 0.4), True),
        ("training.lr", (2.0, 1.0), True),
        ("training.steps", (2, 1), False),
        ("training.steps", (1, 2), True),
    ],
)
def test_an_edge_with_nothing_beyond_is_none(key, tried, edge):
    """The last of those tried is best."""
    frame = table({"a": dict(zip(tried, (0.7, 0.9), strict=True))}).rename(columns={LR: key})
    frame.attrs = {"cells": [{"key": "k", "arm": "a", key: 1}], "specs": {"r": {"algorithm": "choco_sgd"}}}
    found = tune(frame)["a"]
    assert (found["chosen"], found["at_edge"]) == ({key: tried[1]}, [key] if edge else [])


def test_of_values_that_the_seeds_cannot_tell_apart_the_first_is_taken():
    """The two seeds of a value are 2 points apart, so that the standard error of its mean is 1 point (less exp(-4))."""
    assert tune(table({"a": {0.1: 0.795, 0.2: 0.8, 0.4: 0.6}}))["a"]["chosen"] == {LR: 0.1}
    assert tune(table({"a": {0.1: 0.785, 0.2: 0.8, 0.4: 0.6}}))["a"]["chosen"] == {LR: 0.2}


def test_a_value_with_which_a_run_diverged_is_out():
    levels = {"a": {0.1: 0.7, 0.2: 0.9, 0.4: 0.6}}
    found = tune(table(levels, diverged=[("a", 0.2)]))["a"]
    assert found["chosen"] == {LR: 0.1}
    assert [one["accuracy"] is None for one in found["tried"]] == [False, True, False]
    with pytest.raises(SpecError, match=r"arm 'a': with every value of training\.lr a run diverged"):
        tune(table(levels, diverged=[("a", lr) for lr in levels["a"]]))


def test_without_a_grid_there_is_nothing_to_tune():
    frame = runs([0.5]).assign(arm="a", status="finished", run="r")
    frame.attrs["cells"] = [{"key": "k", "seeds": [0], "experiment": "e", "arm": "a"}]
    with pytest.raises(SpecError, match="no grid"):
        tune(frame)


def test_a_run_takes_what_was_chosen_for_its_arm(tmp_path, capsys):
    chosen = tmp_path / "tuned.json"
    chosen.write_text(json.dumps({"Erdős–Rényi": {"chosen": {LR: 0.025}}}), encoding="utf-8")
    spec, out = json.dumps(SPEC | {"rounds": 1}), tmp_path / "r.parquet"
    code, *_ = p2pl("run", spec, "--tuned", chosen, "Erdős–Rényi", "--seeds", "3,4", "--out", out, capsys=capsys)
    assert code == 0
    assert [one["training"]["lr"] for one in load(out).attrs["specs"].values()] == [0.025, 0.025]
    code, _, err = p2pl("run", spec, "--tuned", chosen, "Erdos-Renyi", "--out", out, capsys=capsys)
    assert (code, "did you mean 'Erdős–Rényi'" in err) == (2, True)


RATES = {"arms": {"ring": {}, "star": {"topology": "star"}}, "grid": {LR: [0.1, 0.2]}, "seeds": [7]}
WRONG = [
    ({"tuned": "rats", "arms": {"ring": {}}}, "there is no experiment 'rats'; did you mean 'rates'"),
    ({"tuned": "rates", "arms": {"rings": {}}}, "'rates' has no grid for the arm 'rings'; did you mean 'ring'"),
    ({"tuned": "rates", "arms": {"ring": {}}, "seeds": [6, 7]}, "'e' has seeds on which 'rates' was tuned"),
    ({"tuned": "e", "arms": {"ring": {}}}, "'e' has no grid for the arm 'ring'"),
]


@pytest.mark.parametrize(("block", "message"), WRONG)
def test_tuning_that_cannot_be_is_said(block, message):
    with pytest.raises(SpecError, match=message):
        index({"experiments": {"rates": RATES, "e": block}})


def test_tuned_cells_have_keys_of_their_own():
    blocks = {"rates": RATES, "e": {"arms": {"ring": {}}}, "f": {"tuned": "rates", "arms": {"ring": {}}}}
    found = index({"experiments": blocks})
    assert found["e"][0].spec == found["f"][0].spec
    assert found["e"][0].key != found["f"][0].key


@pytest.mark.parametrize("name", ["config", "paper"])
def test_methods_are_tuned_on_as_many_seeds_as_judge_them(name):
    blocks = index(read_table(Path(__file__).parent.parent / "config" / f"{name}.yaml"))
    judged = [cell for cells in blocks.values() for cell in cells if cell.tuned]
    assert judged
    for cell in judged:
        assert {len(one.seeds) for one in blocks[cell.tuned]} == {len(cell.seeds)}, (cell.block, cell.tuned)
