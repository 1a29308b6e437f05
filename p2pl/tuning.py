"""Fair comparison: each method gets the value that suits it best, found on seeds that no comparison uses.

    score(value) = mean over seeds of the final test accuracy of the mean device
    chosen = the first value of the grid whose score is within one standard error of the best score

The rule of one standard error is that of Breiman et al., "Classification and Regression Trees", 1984: of values that
the seeds cannot tell apart it takes the first, which for learning rates in ascending order is the smallest. All methods
are scored by one measure, on images that nobody learns from and nobody is judged by (`evaluation.split: validation`) or
else on the test samples of the comparison itself: that flatters each of them a little, and all alike. A value at the
edge of its grid is said to be so, for a better one may lie beyond, unless nothing does: a share is at most 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from p2pl.experiment import Experiment, overlay
from p2pl.registry import SpecError
from p2pl.stats import last_phase

if TYPE_CHECKING:
    import pandas as pd


def tune(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """For every arm of a table of results: `chosen` (grid key -> value), its `accuracy`, `at_edge` and all `tried`.

    A value with which a run diverged has no accuracy (None) and is not chosen. Raises SpecError if there is no grid, or
    if every value of an arm diverged.
    """
    cells = {cell["arm"]: cell for cell in table.attrs["cells"]}  # those of an arm have the same keys
    outcome = {}
    for arm, rows in table.groupby("arm", sort=False):
        grid = [key for key in cells[arm] if key not in ("key", "seeds", "experiment", "arm")]
        if not grid:
            raise SpecError(f"nothing to tune: there is no grid{f' for the arm {arm!r}' if arm else ''}")
        tried = [
            dict(zip(grid, values, strict=True)) | score(found) for values, found in rows.groupby(grid, sort=False)
        ]
        finished = [one for one in tried if one["accuracy"] is not None]
        if not finished:
            raise SpecError(f"arm '{arm}': with every value of {', '.join(grid)} a run diverged")
        spec = table.attrs["specs"][rows["run"].iloc[0]]
        best = max(finished, key=lambda one: one["accuracy"])
        chosen = next(one for one in finished if one["accuracy"] >= best["accuracy"] - best["error"])
        outcome[str(arm)] = {
            "chosen": {key: chosen[key] for key in grid},
            "accuracy": chosen["accuracy"],
            "at_edge": [key for key in grid if beyond(chosen[key], rows[key], key, spec)],
            "tried": tried,
        }
    return outcome


def beyond(value: float, tried: pd.Series[float], key: str, spec: Mapping[str, Any]) -> bool:
    """Whether it lies at an edge of several values tried, and the spec would take values beyond."""
    if value == tried.min():
        further = [0.99 * value, int(value) - 1]  # some options take whole numbers alone
    elif value == tried.max():
        further = [1.01 * value, int(value) + 1]
    else:
        return False
    return tried.nunique() > 1 and any(taken(spec, key, one) for one in further)


def taken(spec: Mapping[str, Any], key: str, value: float) -> bool:
    """Whether a spec with this value is one."""
    try:
        Experiment.of(overlay(spec, {key: value}))
    except SpecError:
        return False
    return True


def at_edges(outcome: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """`ring: training.lr = 0.8, the largest tried`, for each value that `tune` chose at an edge of its grid."""
    said = []
    for arm, found in outcome.items():
        for key in found["at_edge"]:
            value = found["chosen"][key]
            side = "least" if value == min(one[key] for one in found["tried"]) else "largest"
            said.append(f"{arm}: {key} = {value:g}, the {side} tried")
    return said


def score(rows: pd.DataFrame) -> dict[str, float | None]:
    """`accuracy`: mean over seeds of the last measured accuracy of the mean device; its standard `error`.

    Both are None if a run diverged; one seed has no error, 0.
    """
    if (rows["status"] != "finished").any():
        return {"accuracy": None, "error": None}
    finals = last_phase(rows, run="seed").groupby("seed")["accuracy_mean"].last().to_numpy(float)
    error = finals.std(ddof=1) / len(finals) ** 0.5 if len(finals) > 1 else 0.0
    return {"accuracy": float(finals.mean()), "error": float(error)}
