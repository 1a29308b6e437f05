"""How far a forecast is from the run, at the ends of rounds, in the mean device's test accuracy A.

accuracy                  mean over measured rounds of |A - A_f|, a fraction
rounds, rounds_forecast   to a target, linear between evaluations; None where it is not reached
error                     |rounds_forecast - rounds| / rounds; infinite where only one of the two gets there
slem                      of the mean of the W_t that the run had: what the graph says without any forecast
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from p2pl import data, results
from p2pl.data import Dataset
from p2pl.effects import rounds_to
from p2pl.experiment import Experiment
from p2pl.registry import SpecError
from p2pl.results import ResultsError
from p2pl.scenario import stage
from p2pl.spectrum import slem
from p2pl.stats import last_phase
from theory.columns import averaged
from theory.exchanges import Exchanges
from theory.forecast import SOURCE
from theory.orders import order_of

TARGETS = (0.5, 0.6, 0.7, 0.8)


def is_forecast(path: Path) -> bool:
    """Whether a results file is of `p2pl forecast`. Raises ResultsError if it is none at all."""
    return SOURCE in results.load(path).get("source", pd.Series(dtype=str)).unique()


def check(run: Path, forecast: Path, targets: Sequence[float] = TARGETS) -> list[dict[str, Any]]:
    """A row for each run that both files have and each target, the run's own among them; see above.

    Raises SpecError if the files have no run in common, or are not what they should be.
    """
    seen, said = results.load(run), results.load(forecast)
    if "source" in seen:
        raise ResultsError(f"{run} is not a run, from `p2pl run`: compare takes RUN, then THEORY")
    common = [key for key in dict.fromkeys(seen["run"]) if key in said.attrs["specs"]]
    if not common:
        raise SpecError(f"{run} and {forecast} have no run in common: forecast the same spec, with the same seeds")
    experiments = [Experiment.of(seen.attrs["specs"][key]) for key in common]
    known = {choice: data.load(choice) for choice in {experiment.dataset for experiment in experiments}}
    report = []
    for experiment in experiments:
        ends, others = (last_phase(table[table["run"] == experiment.key]) for table in (seen, said))
        facts = {"accuracy": gap(ends, others), "slem": slem(mean_weights(experiment, known[experiment.dataset]))}
        for target in sorted({*targets, experiment.evaluation.target}):
            place = {"run": experiment.key, "seed": experiment.seed, "target": target}
            report.append(place | facts | at_target(ends, others, target))
    return report


def gap(seen: pd.DataFrame, said: pd.DataFrame) -> float | None:
    """Mean |A - A_f| over the measured rounds of both; None where there is none."""
    both = seen.merge(said, on="round", suffixes=("", "_f"))
    both = both[both["round"] > 0]
    return float((both["accuracy_mean"] - both["accuracy_mean_f"]).abs().mean()) if len(both) else None


def at_target(seen: pd.DataFrame, said: pd.DataFrame, target: float) -> dict[str, float | None]:
    """Rounds to a target, of one run and its forecast, and the error."""
    found = [rounds_to(table, "accuracy_mean", target).iloc[0] for table in (seen, said)]
    rounds, forecast = (float(one["rounds"]) if one["reached"] else None for one in found)
    error = None
    if rounds is not None and forecast is not None:
        error = abs(forecast - rounds) / rounds
    elif rounds is not None or forecast is not None:
        error = math.inf
    return {"rounds": rounds, "rounds_forecast": forecast, "error": error}


def mean_weights(experiment: Experiment, known: Dataset) -> np.ndarray:
    """(K, K) the mean over a run of the W_t of its mixing steps, failures and all."""
    scenario = stage(experiment, known=known)
    exchanges = Exchanges(scenario, order_of(experiment, [len(shard) for shard in scenario.shards]))
    everybody, here = np.arange(experiment.devices), torch.eye(experiment.devices, dtype=torch.float64)
    drawn = [step for number in range(1, experiment.rounds + 1) for step in exchanges.of_round(number, everybody)]
    return (sum(averaged(step.weights, here, here) for step in drawn) / torch.tensor(len(drawn))).numpy()


def write_checks(report: list[dict[str, Any]], run: Path, forecast: Path, out: Path) -> None:
    """The report as a file like that of results, specs and all."""
    kinds = {"run": pa.string(), "seed": pa.int64()}
    columns = pa.schema([(name, kinds.get(name, pa.float64())) for name in report[0]])
    facts = {**results.read(forecast)[1], **results.read(run)[1]}
    results.write(pa.Table.from_pylist(report, schema=columns), out, facts)
