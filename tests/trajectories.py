"""A run and its prediction side by side, moment by moment, for the tests of the theory."""

import numpy as np

from p2pl import Experiment
from p2pl.engine import prepare, unfold
from p2pl.scenario import stage
from theory.dynamics import Dynamics

HARD = {
    "dataset": "digits",
    "devices": 8,
    "samples": 256,
    "partition": "classes",
    "topology": "ring",
    "failures": {"name": "links", "rate": 0.3},
    "initialization": "shared",
    "loss": "mse",
    "model": {"name": "mlp", "hidden": [1024], "parametrization": "ntk"},
    "training": {"lr": 0.2, "momentum": 0.9, "batch_size": "full", "steps": 5},
    "rounds": 20,
}


def seen(experiment):
    """Of every measured moment: (round, phase), measures, outputs at the training and the test samples, parameters."""
    setting = prepare(experiment)
    work = setting.work
    inputs = work.data.inputs[np.concatenate(work.data.shards)]
    for snapshot in unfold(setting):
        if snapshot.measures is not None:
            outputs = (work.learner.outputs(snapshot.models, some).double() for some in (inputs, setting.meter.inputs))
            yield (snapshot.round, snapshot.phase), snapshot.measures, *outputs, snapshot.models.double()


def foretold(experiment, cuts=()):
    """The same from the theory, but for the measures: the disagreement, messages and bytes."""
    dynamics = Dynamics(stage(experiment), cuts=cuts)
    for moment in dynamics.moments():
        measures = {"consensus_distance": moment.disagreement}
        measures |= {"messages": moment.messages, "bytes_sent": moment.bytes_sent}
        models = dynamics.frame.parameters(moment.coefficients)
        yield (moment.round, moment.phase), measures, moment.train, moment.test, models


def distance(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


def worst(spec, cuts=()):
    """The largest relative error of outputs, parameters and disagreement (absolute where small), over a whole run."""
    experiment, found = Experiment.of(spec), []
    for run, theory in zip(seen(experiment), foretold(experiment, cuts), strict=True):
        assert run[0] == theory[0]
        assert [run[1][name] for name in ("messages", "bytes_sent")] == list(theory[1].values())[1:]
        found += [distance(theory[part], run[part]) for part in (2, 3, 4)]
        apart, apart_th = run[1]["consensus_distance"], theory[1]["consensus_distance"]
        found.append(abs(apart - apart_th) / max(1.0, apart))
    return max(found)
