"""Learning rates that change from round to round: warm-up and schedules."""

from itertools import pairwise

import pytest
import torch

from p2pl import Experiment, simulate
from p2pl.engine import prepare
from p2pl.registry import SpecError, schedule

SMALL = {
    "dataset": "digits",
    "devices": 6,
    "samples": 120,
    "model": {"name": "mlp", "hidden": [8]},
    "initialization": "shared",
    "topology": "complete",
    "rounds": 6,
}


@pytest.mark.parametrize("engine", ["torch", "auto"])
def test_a_schedule_is_a_learning_rate_for_each_round(engine):
    """Round by round with the rates 1/3, 2/3, 1, then .2 of it, the second half: as runs with one rate each would."""
    training = {"lr": 0.12, "momentum": 0.0, "batch_size": "full", "steps": 2}
    plain = SMALL | {"engine": engine}
    scheduled = plain | {
        "training": training | {"warmup": 3},
        "schedule": {"name": "steps", "at": [0.5], "factor": 0.2},
    }
    setting = prepare(Experiment(**scheduled))
    setting.work.round = 0
    assert setting.work.lr == pytest.approx(0.04)
    x = setting.draw()[:1].expand(6, -1).contiguous()
    for number, snapshot in enumerate(s for s in simulate(Experiment(**scheduled)) if s.phase == "cooperate"):
        rate = (0.04, 0.08, 0.12, 0.024, 0.024, 0.024)[number]
        one = prepare(Experiment(**plain | {"training": training | {"lr": rate}}))
        one.work.round = number + 1
        learned, _ = one.work.train(x, torch.zeros_like(x))
        x = learned.mean(dim=0).expand(6, -1).contiguous()
        torch.testing.assert_close(snapshot.models, x, rtol=0, atol=1e-6)


def test_a_warm_up_ends_before_the_run_does():
    assert Experiment(rounds=6, training={"warmup": 6}).training.warmup == 6
    with pytest.raises(SpecError, match=r"training\.warmup: expected at most 6, .*, got 7"):
        Experiment(rounds=6, training={"warmup": 7})


@pytest.mark.parametrize("name", schedule.entries)
def test_schedules_begin_at_one_and_never_rise(name):
    factors = [schedule.call(name, done=done / 100) for done in range(100)]
    assert factors[0] == 1
    assert all(0 <= later <= earlier for earlier, later in pairwise(factors))


def test_the_cosine_is_half_way_in_the_middle():
    assert schedule.call("cosine", done=0.5) == pytest.approx(0.5)
