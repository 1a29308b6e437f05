"""Specs: names, types, ranges and combinations are refused before anything runs; equal runs have equal keys."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pl import Experiment, SpecError
from p2pl.experiment import overlay
from p2pl.options import expected
from p2pl.registry import FAMILIES
from p2pl.sweep import cells, index, label, read_table
from p2pl.yaml_files import parse_yaml

CONFIG = Path(__file__).parent.parent / "config"

WRONG = [
    ({"topologi": "ring"}, "no key 'topologi'; did you mean 'topology'"),
    ({"topology": "rng"}, "no topology 'rng'; did you mean 'ring'"),
    ({"topology": {"name": "erdos_renyi", "q": 0.1}}, "no option 'q'"),
    ({"topology": {"name": "erdos_renyi", "p": 1.5}}, "a number from 0 to 1 or nothing (null), got 1.5"),
    ({"topology": {"degree": 3}}, "a mapping with 'name'"),
    ({"topology": ["ring"]}, "a mapping with 'name'"),
    ({"devices": 0}, "devices: expected an integer of at least 1, got 0"),
    ({"devices": "10"}, "devices: expected an integer"),
    ({"devices": True}, "devices: expected an integer"),
    ({"rounds": 2.5}, "rounds: expected an integer"),
    ({"seed": -1}, "seed: expected an integer of at least 0"),
    ({"dtype": "float16"}, "dtype: expected one of float32, float64"),
    ({"loss": "hinge"}, "loss: expected one of cross_entropy, mse"),
    ({"training": {"lr": -1}}, "training.lr: expected a number above 0, got -1"),
    ({"training": {"lr": float("nan")}}, "training.lr: expected a number above 0"),
    ({"training": {"learning_rate": 1}}, "training has no key 'learning_rate'"),
    ({"training": {"epochs": 1, "steps": 1}}, "epochs or steps, not both"),
    ({"training": {"nesterov": True, "momentum": 0}}, "nesterov needs a momentum"),
    ({"training": {"batch_size": "half"}}, "an integer of at least 1 or one of full"),
    ({"training": {"lr": "1e-3"}}, "in YAML write 1.0e-3"),
    ({"seed": 2**64}, "below 2^63"),
    ({"training": {"lr": 1e308}}, "training.lr: expected a number above 0"),
    ({"training": {"lr": 10**400}}, "training.lr: expected a number above 0"),
    ({"training": 3}, "training: expected a mapping"),
    ({"evaluation": {"every": 0}}, "evaluation.every"),
    (
        {"failures": {"name": "links", "rate": 2}},
        "failure 'links', option 'rate': expected a number from 0 to 1, got 2",
    ),
    ({"failures": ["links", "burst"]}, "did you mean 'bursts'"),
    ({"algorithm": "fedavg", "failures": "links"}, "'fedavg' does not use the links"),
    ({"dataset": "least_squares"}, "set loss: mse"),
    ({"model": {"name": "mlp", "hidden": [0]}}, "a list, each entry an integer of at least 1"),
    ({"sizes": "shares"}, "sizes 'shares' needs the option 'shares'"),
]


@pytest.mark.parametrize(("spec", "message"), WRONG, ids=lambda case: str(case)[:40])
def test_what_is_wrong_is_said(spec, message):
    with pytest.raises(SpecError, match=re.escape(message)):
        Experiment.of(spec)


def test_equal_runs_have_equal_keys_however_they_are_written():
    short = Experiment(topology="star", failures="links")
    long = Experiment(
        topology={"name": "star"}, failures=[{"name": "links", "rate": 0.1}], devices=10, training={"momentum": 0.5}
    )
    assert short == long
    assert short.key == long.key
    assert Experiment(devices=np.int64(3), training={"lr": 1}).key == Experiment(devices=3, training={"lr": 1.0}).key
    assert short.spec() == {"topology": "star", "failures": ["links"]}
    others = [short.replace(seed=1), short.replace(**{"training.lr": 0.1}), short.replace(failures=None)]
    assert len({experiment.key for experiment in [short, *others]}) == 4
    assert Experiment(training={"epochs": 1}).key == Experiment().key
    assert Experiment(failures="none").key == Experiment().key


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "devices": st.integers(1, 99),
            "topology": st.sampled_from(["ring", "star", {"name": "erdos_renyi", "p": 0.5}]),
            "failures": st.sampled_from([None, "links", ["bursts", {"name": "delay", "steps": 3}]]),
            "training": st.fixed_dictionaries({"lr": st.floats(1e-3, 1)}, optional={"steps": st.integers(1, 9)}),
            "seed": st.integers(0, 99),
        },
    )
)
def test_a_spec_written_out_and_read_again_is_the_same_run(spec):
    experiment = Experiment.of(spec)
    assert Experiment.of(experiment.spec()) == experiment
    assert Experiment.of(experiment.spec()).key == experiment.key


def test_dotted_keys_reach_inside_and_keep_the_rest():
    changed = overlay(
        {"topology": {"name": "small_world", "neighbours": 6}}, {"topology.rewire": 0.2, "training.lr": 0.1}
    )
    assert changed == {"topology": {"name": "small_world", "neighbours": 6, "rewire": 0.2}, "training": {"lr": 0.1}}
    assert overlay({}, {"topology.p": 0.3})["topology"] == {"name": "ring", "p": 0.3}
    for held in ({}, {"failures": ["links", "churn"]}):
        with pytest.raises(SpecError, match="name one failure first"):
            overlay(held, {"failures.rate": 0.3})
    for held in ("links", ["links"], [{"name": "links", "rate": 0.5}]):
        assert overlay({"failures": held}, {"failures.rate": 0.3})["failures"] == {"name": "links", "rate": 0.3}
    with pytest.raises(SpecError, match="'devices' has no inner keys"):
        overlay({"devices": 3}, {"devices.x": 1})


def test_annotations_are_checked_as_written():
    assert expected("Count | None", None) is None
    assert expected("list[Probability]", [0.1, 1]) is None
    assert expected("list[Probability]", [0.1, 2]) == "a list, each entry a number from 0 to 1"
    assert expected("Literal['a', 'b']", "c") == "one of a, b"
    assert expected("float", True) == "a number"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.kind)
def test_everything_registered_can_be_described_and_loaded(family):
    """Each component has a docstring, options of known kinds with defaults that fit, and is where it says."""
    assert family.entries
    for name, entry in family.entries.items():
        assert len(entry.doc) > 10, f"{family.kind} '{name}' has no docstring"
        assert callable(family.load(name))
        for option in entry.options.values():
            assert option.required or option.default is None or expected(option.annotation, option.default) is None


def test_specs_need_no_torch():
    code = (
        "import sys, p2pl.sweep, p2pl.network, p2pl.transmission, p2pl.spectrum, p2pl.fingerprint, p2pl.stats;"
        "p2pl.Experiment(algorithm='fedavg'); p2pl.Experiment(model='cnn', initialization='shared');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


TABLE = {
    "defaults": {"dataset": "digits"},
    "experiments": {
        "e": {
            "base": {"devices": 4},
            "arms": {"star": {"topology": "star"}, "server": {"algorithm": "fedavg"}},
            "grid": {"training.lr": [0.1, 0.2], "partition": ["iid", {"name": "dirichlet", "alpha": 0.1}]},
            "seeds": 3,
        }
    },
}


def test_a_block_becomes_its_cells():
    found = cells(TABLE, "e")
    assert len(found) == 2 * 2 * 2
    assert len({cell.key for cell in found}) == 8
    assert found[1].columns == {
        "experiment": "e",
        "arm": "star",
        "training.lr": 0.1,
        "partition": "dirichlet(alpha=0.1)",
    }
    assert found[-1].experiment.training.lr == 0.2
    assert found[0].seeds == (0, 1, 2)
    assert label([1, 2]) == "[1, 2]"


@pytest.mark.parametrize("name", ["config", "paper", "smoke", "cifar10"])
def test_every_table_of_the_repository_is_valid(name):
    """Its cells are experiments, and stand for themselves on a command line."""
    for found in index(read_table(CONFIG / f"{name}.yaml")).values():
        assert all(Experiment.of(json.loads(cell.spec)) == cell.experiment for cell in found)


def test_a_wrong_cell_is_named_by_block_and_arm():
    wrong = {"experiments": {"e": {"arms": {"a": {"topology": "sta"}}}}}
    with pytest.raises(SpecError, match="experiment 'e', arm 'a': there is no topology 'sta'; did you mean 'star'"):
        cells(wrong, "e")


@pytest.mark.parametrize("block", ["foo", {"grid": {"training.lr": 0.1}}, {"grid": {"seed": [0, 1]}}, {"base": [1]}])
def test_a_block_of_another_shape_is_refused(block):
    with pytest.raises(SpecError, match="experiment 'b': "):
        cells({"experiments": {"b": block}}, "b")


def test_arms_may_have_grids_of_their_own():
    """Other values for a key of the grid, and keys of their own; those without take the grid as it is."""
    block = TABLE["experiments"]["e"] | {"grid": {"training.lr": [0.1, 0.2]}}
    own = {"server": {"training.lr": [0.4], "algorithm.participation": [0.5, 1]}}
    found = [cell.columns for cell in cells({"experiments": {"e": block | {"grids": own}}}, "e")]
    star = [{"experiment": "e", "arm": "star", "training.lr": lr} for lr in (0.1, 0.2)]
    server = {"experiment": "e", "arm": "server", "training.lr": 0.4}
    assert found == [*star, *(server | {"algorithm.participation": share} for share in (0.5, 1))]
    assert [c.columns for c in cells({"experiments": {"e": block | {"grids": {"star": None}}}}, "e")][:2] == star


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        ({"stars": {"training.lr": [1]}}, "there is no arm 'stars'; did you mean 'star'"),
        ({"star": [1]}, "each arm has a mapping"),
        ({"star": {"training.lr": 1}}, "each key of a grid has a list of values, and so must 'training.lr'"),
        ({"star": {"training.lr": [1, 1]}}, "a value of the grid is given twice, of 'training.lr'"),
        ({"star": {"seed": [1, 2]}}, "say `seeds`"),
        ({"star": {"algorithm.participation": [1]}}, "arm 'star': .*participation"),
        ([1], "and grids"),
    ],
)
def test_a_wrong_grid_of_an_arm_is_refused(grids, message):
    with pytest.raises(SpecError, match=f"experiment 'e'.*{message}"):
        cells({"experiments": {"e": TABLE["experiments"]["e"] | {"grids": grids}}}, "e")


def test_labels_of_one_grid_key_are_of_one_type():
    found = cells({"experiments": {"b": {"grid": {"training.batch_size": [10, "full"]}}}}, "b")
    assert [cell.columns["training.batch_size"] for cell in found] == ["10", "full"]


def test_numbers_without_a_point_are_numbers():
    assert parse_yaml("[1e-05, -2E3, 1.5, e5, 0x1e]", "here") == [1e-5, -2000.0, 1.5, "e5", 30]


def test_a_table_is_laid_over_the_one_it_extends(tmp_path):
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    below.write_text("""
        defaults: {devices: 4, model: {name: mlp, hidden: [8]}}
        experiments: {e: {asks: Why, base: &it {rounds: 9}, arms: {a: {<<: *it, samples: 3}}, grid: {devices: [2, 3]}}}
        """)
    above.write_text(f"""
        extends: {below}
        defaults: {{devices: 5, model: {{hidden: [4, 4]}}}}
        experiments: {{e: {{grid: {{devices: [7]}}}}}}
        """)
    arms = {"a": {"rounds": 9, "samples": 3}}
    assert read_table(above) == {
        "defaults": {"devices": 5, "model": {"name": "mlp", "hidden": [4, 4]}},
        "experiments": {"e": {"asks": "Why", "base": {"rounds": 9}, "arms": arms, "grid": {"devices": [7]}}},
    }
    above.write_text(f"extends: {above}")
    with pytest.raises(SpecError, match="extends itself"):
        read_table(above)


def test_a_table_that_is_none_is_refused(tmp_path):
    twice = "experiments: {}\nexperiments: {}"
    odd = (("[" * 3000, "not YAML"), ("a: 2001-99-99", "not YAML"), (twice, "'experiments' is given twice"))
    for text, message in (("a: [", "not YAML"), ("a: 1", "no key 'experiments'"), *odd):
        path = tmp_path / "t.yaml"
        path.write_text(text)
        with pytest.raises(SpecError, match=message):
            read_table(path)
    with pytest.raises(SpecError, match="cannot read"):
        read_table(tmp_path / "none.yaml")
