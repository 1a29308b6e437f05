"""A spec's curves as the theory has them: the same rows, columns and outputs as of its run, from its start alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from p2pl import data, results
from p2pl.experiment import Experiment
from p2pl.metrics import Meter, rms_distances
from p2pl.options import LARGEST
from p2pl.outputs import Arrays, check_size, write_outputs
from p2pl.scenario import Scenario, stage
from p2pl.summary import facts_of, summarize
from theory.dynamics import Dynamics
from theory.frame import Moment
from theory.kernel import MEMORY
from theory.limits import warnings_of

SOURCE = "theory"
GEOMETRIC = "geometric"  # cuts after rounds 2, 4, 8, ...: the kernel moves most in the beginning


@dataclass(frozen=True)
class Way:
    """How to predict, see `theory.dynamics`; cuts may be GEOMETRIC."""

    memory: int = MEMORY
    continuous: bool = False
    cuts: Sequence[int] | str = ()

    def dynamics(self, scenario: Scenario) -> Dynamics:
        rounds = scenario.experiment.rounds
        cuts = [2**power for power in range(1, rounds.bit_length())] if self.cuts == GEOMETRIC else self.cuts
        return Dynamics(scenario, self.memory, self.continuous, [int(cut) for cut in cuts])


@dataclass(frozen=True)
class Prediction:
    """rows, summary: as of a run (`p2pl.run.Run`). facts: see `theory.limits`. outputs: see `p2pl.outputs`."""

    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    facts: dict[str, Any]
    outputs: Arrays


def predict(scenario: Scenario, way: Way, outputs: bool = False) -> Prediction:
    """Predict one experiment. Raises SpecError for one that the theory cannot treat, saying which part, and why."""
    began, experiment = time.perf_counter(), scenario.experiment
    dynamics = way.dynamics(scenario)
    samples = len(dynamics.samples.train) + len(dynamics.samples.test)
    if outputs:
        check_size(scenario.moments, len(scenario.shards), samples, scenario.data.classes, scenario.dtype.itemsize)
    observer, run = Observer(scenario, dynamics), {"run": experiment.key, "seed": experiment.seed}
    rows: list[dict[str, Any]] = []
    kept: list[Moment] = []
    status = "finished"
    for moment in dynamics.moments():
        measures = observer.measure(moment)
        if measures is None:
            status = f"diverged at round {moment.round}"
            break
        rows.append(run | {"round": moment.round, "phase": moment.phase} | measures)
        kept = [*kept, moment] if outputs else [moment]
    if status != "finished":  # as in a run: a round that has gone wrong in one phase is no measurement in the other
        rows = [row for row in rows if f"diverged at round {row['round']}" != status]
    rows = [row | {"status": status} for row in rows]
    origin = {"name": scenario.data.name, "source": scenario.data.source, "checksum": scenario.data.checksum}
    summary = summarize(experiment, rows, status) | {"spec": experiment.spec(), "data": origin, "source": SOURCE}
    facts = dynamics.facts()
    summary |= {name: facts[name] for name in ("growth_onset_lr", "jumps")}
    summary["warnings"] = warnings_of(experiment, facts)
    kept_outputs = observer.arrays(kept) if outputs else {}
    summary["seconds"] = round(time.perf_counter() - began, 3)
    return Prediction(rows, summary, facts, kept_outputs)


class Observer:
    """Measures moments as `p2pl.metrics` measures models: outputs are linear, so an average model's are the average."""

    def __init__(self, scenario: Scenario, dynamics: Dynamics) -> None:
        self.scenario, self.dynamics = scenario, dynamics
        samples = dynamics.samples
        shape = (-1, len(samples.test), samples.outputs)
        self.meter = Meter(
            lambda rows, _: rows.view(shape),
            samples.test,
            samples.test_targets,
            scenario.experiment.loss,
            scenario.own_classes(),
            None,
        )
        self.optimum = scenario.optimum()

    def measure(self, moment: Moment) -> dict[str, Any] | None:
        """A row of results, but for the run and the round; None for outputs whose losses a run could not hold."""
        measures = self.meter.measure(moment.test.flatten(1))
        if not all(abs(value) < LARGEST for value in measures.values() if isinstance(value, float)):
            return None
        measures["consensus_distance"] = moment.disagreement
        if self.optimum is not None:
            models = self.parameters(moment)
            measures["distance_to_optimum"] = rms_distances(models[None], self.optimum)[0]
            measures["distance_to_optimum_of_average"] = rms_distances(models.mean(dim=0)[None, None], self.optimum)[0]
        return measures | {"messages": moment.messages, "bytes_sent": moment.bytes_sent}

    def parameters(self, moment: Moment) -> Tensor:
        """(K, P), in float64."""
        return self.dynamics.frame.parameters(moment.coefficients)  # that of the last cut

    def arrays(self, moments: Sequence[Moment]) -> dict[str, np.ndarray]:
        """See `p2pl.outputs`; in the type of the run's numbers."""
        dtype = self.scenario.dtype
        return {
            "rounds": np.array([moment.round for moment in moments]),
            "phases": np.array([moment.phase for moment in moments]),
            "train": torch.stack([moment.train.to(dtype) for moment in moments]).numpy(),
            "test": torch.stack([moment.test.to(dtype) for moment in moments]).numpy(),
            "targets": self.dynamics.samples.targets.numpy(),
            "start": self.dynamics.exchanges.starts.numpy(),
            "end": self.parameters(moments[-1]).to(dtype).numpy(),
        }


def predict_all(
    experiments: Sequence[Experiment], out: str | Path, way: Way, outputs: bool = False
) -> Iterator[dict[str, Any]]:
    """Predict experiments one after another, and in the end write all their rows to `out`. Yields the summaries.

    The file is a results file (see `p2pl.results`) with one column more, source, which says "theory".
    """
    known = {choice: data.load(choice) for choice in {experiment.dataset for experiment in experiments}}
    found, recorded = [], {}
    for experiment in experiments:
        one = predict(stage(experiment, known=known[experiment.dataset]), way, outputs)
        yield one.summary
        found.append(one)
        if outputs:
            recorded[experiment.key] = one.outputs
    if outputs:
        write_outputs(recorded, out)
    facts = {"range": {one.summary["run"]: one.facts for one in found}, "way": asdict(way)}
    write_told(found, SOURCE, out, facts)


class Told(Protocol):
    """What is said of a run that has not been run: rows as of a run, and a summary (see `p2pl.summary`)."""

    @property
    def rows(self) -> list[dict[str, Any]]: ...

    @property
    def summary(self) -> dict[str, Any]: ...


def write_told(found: Sequence[Told], source: str, out: str | Path, facts: dict[str, Any]) -> None:
    """A results file (see `p2pl.results`) with one column more, `source`, and what else is to be known of it."""
    table = results.table_of([row for one in found for row in one.rows])
    told = facts_of([one.summary for one in found])
    results.write(table.append_column("source", pa.array([source] * len(table))), out, told | facts)
