"""Specs: names, types, ranges and combinations are refused before anything runs; equal runs have equal keys."""

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pl import Experiment, SpecError
from p2pl.experiment import overlay
from p2pl.options import expected
from p2pl.registry import FAMILIES

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
