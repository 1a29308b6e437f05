"""What the tables of experiments say of their own arms in words, held against the graphs and weights."""

from pathlib import Path

import numpy as np
import pytest

from p2pl import registry
from p2pl.graph import describe
from p2pl.network import Network
from p2pl.sweep import cells
from p2pl.table_files import read_table
from p2pl.transmission import Transmission

CONFIG = Path(__file__).parent.parent / "config"
SCALES = [read_table(CONFIG / f"{name}.yaml") for name in ("config", "paper")]


@pytest.mark.parametrize("table", SCALES, ids=["config", "paper"])
def test_the_arms_of_weights_are_two_speeds_times_two_biases(table):
    """Contraction a round within 3 % where speeds are said to be equal, stationary weights equal where biases are."""
    speed, bias = {}, {}
    for cell in cells(table, "weights"):
        one = cell.experiment
        facts = describe(one.topology, one.devices, one.mixing)
        speed[cell.arm] = facts.slem ** one.algorithm.options["consensus_steps"]
        bias[cell.arm] = facts.stationary
    assert speed["fast and biased"] == pytest.approx(speed["fast and unbiased"], rel=0.03)
    assert speed["slow and biased"] == pytest.approx(speed["slow and unbiased"], rel=0.03)
    assert speed["slow and biased"] > 1.5 * speed["fast and biased"]
    uniform = np.full_like(bias["slow and biased"], 1 / len(bias["slow and biased"]))
    for name in ("fast", "slow"):
        np.testing.assert_allclose(bias[f"{name} and biased"], bias["fast and biased"], atol=1e-9)
        np.testing.assert_allclose(bias[f"{name} and unbiased"], uniform, atol=1e-9)
    assert bias["fast and biased"].max() > 5 * uniform[0]


@pytest.mark.parametrize("table", SCALES, ids=["config", "paper"])
def test_losses_that_are_compared_lose_the_same_share(table):
    """Of 4,000 mixing steps on a ring; bursts of 20 steps have few independent stretches in them, hence 3 points."""
    for cell in cells(table, "channels"):
        failures = cell.experiment.failures
        if not failures or failures[0].name == "delay":
            continue
        air = Transmission(Network("ring", 8, 0), registry.mixing.resolve("p2pl"), np.ones(8, int), failures)
        steps = [air.next(packets=2) for _ in range(4000)]
        kept = np.mean([step.weights.link[step.used] > 0 for step in steps])
        assert kept == pytest.approx(0.7, abs=0.03), cell.labels


@pytest.mark.parametrize("table", SCALES, ids=["config", "paper"])
def test_affinity_and_its_control_pull_equally(table):
    """The control gives itself (1 - eta) of the self weight that P2PL has on a ring of equal sizes."""
    arms = {cell.arm: cell.experiment for cell in cells(table, "noniid")}
    eta = arms["affinity"].algorithm.options["eta_d"]
    graph, sizes = Network("ring", arms["P2PL"].devices, 0).at(0), np.ones(arms["P2PL"].devices)
    own, control = (
        registry.mixing.call(arms[arm].mixing, graph=graph, sizes=sizes).diagonal()
        for arm in ("affinity", "smaller self weight")
    )
    np.testing.assert_allclose(control, (1 - eta) * own)
