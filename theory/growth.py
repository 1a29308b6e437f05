"""`p2pl onset`: at which learning rate growth is predicted to begin, and whether runs around it grow.

    growth   log(D(R) / D(R / 2)) / (tau R / 2)        D: consensus distance, R: rounds, tau: local steps a round

that is, of one local step. D is taken after learning, for on the complete graph there is none after mixing. It is
linear in the growing mode, and what else is in it only shrinks. Where a network is not lazy what grows comes down
again, and a run of many rounds may not show it.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from p2pl import data, results
from p2pl.experiment import Experiment
from p2pl.registry import SpecError
from p2pl.scenario import stage
from p2pl.summary import facts_of
from theory.apart import run_apart
from theory.dynamics import Dynamics, refuse_loss
from theory.onset import onset_of

DIRECTIONS = 32  # of each device's residual
SOURCE = "theory"
COLUMNS = {"run": pa.string(), "seed": pa.int64()}


def onsets(experiments: Sequence[Experiment], shares: Sequence[float], out: Path) -> Iterator[dict[str, Any]]:
    """A row for each experiment and share: its predicted `growth_onset_lr`; and of a run at `lr`, that share of it, the
    `growth`. With no shares nothing is run. In the end they are written to `out`, as a file like that of results.

    Raises SpecError for an experiment that has no onset.
    """
    known = {choice: data.load(choice) for choice in {experiment.dataset for experiment in experiments}}
    rows, told = [], []
    for experiment in experiments:
        refuse_loss(experiment)
        scenario = stage(experiment, known=known[experiment.dataset])
        onset = onset_of(scenario, Dynamics(scenario).expansion, DIRECTIONS)
        if onset is None:
            raise SpecError(
                "there is no onset to predict: it needs a graph that is static or periodic, whole batches, plain"
                " gradients or heavy ball, and no affinity"
            )
        rates = {float(share * onset): share for share in shares}
        seen = growths(experiment, list(rates)) if shares else {None: None}
        for lr, growth in seen.items():
            row = {"run": experiment.key, "seed": experiment.seed, "growth_onset_lr": onset}
            rows.append(row | {"share": None if lr is None else rates[lr], "lr": lr, "growth": growth})
            yield rows[-1]
        origin = {"name": scenario.data.name, "source": scenario.data.source, "checksum": scenario.data.checksum}
        said = {"run": experiment.key, "spec": experiment.spec(), "status": "finished", "data": origin}
        told.append(said | {"source": SOURCE})
    schema = pa.schema([(name, COLUMNS.get(name, pa.float64())) for name in rows[0]])
    results.write(pa.Table.from_pylist(rows, schema=schema), out, facts_of(told))


def growths(experiment: Experiment, rates: Sequence[float]) -> dict[float | None, float | None]:
    """The growth of a run at each of these learning rates, in their order; infinite for one that diverges."""
    half = max(1, experiment.rounds // 2)
    asked = experiment.replace(rounds=2 * half, **{"evaluation.every": half, "evaluation.half_steps": True})
    with tempfile.TemporaryDirectory() as folder:
        changes = ("--set", f"training.lr={','.join(map(repr, rates))}")
        seen = run_apart(asked, Path(folder) / "runs.parquet", *changes)
    ends = seen[seen["phase"] == "learn"]
    lr = ends["run"].map(lambda run: float(seen.attrs["specs"][run]["training"]["lr"]))
    steps = half * (experiment.training.steps or experiment.training.epochs or 1)
    return {rate: growth(ends[lr == rate], half, steps) for rate in rates}


def growth(ends: pd.DataFrame, half: int, steps: int) -> float:
    """Of one local step, between round `half` and twice that, `steps` later."""
    distance = ends.set_index("round")["consensus_distance"]
    if 2 * half not in distance.index:
        return math.inf
    return float(np.log(distance[2 * half] / distance[half])) / steps
