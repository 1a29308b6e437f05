"""Fair comparison: each method gets the value that suits it best, found on seeds that no comparison uses.

    best(arm) = argmax over the grid of   mean over seeds of the final test accuracy of the mean device

All methods are scored by the same measure on the same test samples as the comparison itself: that flatters each of them
a little, and all alike. A value at the edge of its grid is said to be so, for a better one may lie beyond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from p2pl.registry import SpecError

if TYPE_CHECKING:
    import pandas as pd


def tune(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """For every arm of a table of results: `chosen` (grid key -> value), its `accuracy`, `at_edge` and all `tried`.

    A value with which a run diverged has no accuracy (None) and is not chosen. Raises SpecError if there is no grid, or
    if every value of an arm diverged.
    """
    grid = [key for key in table.attrs["cells"][0] if key not in ("key", "seeds", "experiment", "arm")]
    if not grid:
        raise SpecError("nothing to tune: the experiment has no grid")
    outcome = {}
    for arm, rows in table.groupby("arm", sort=False):
        tried = [
            dict(zip(grid, values, strict=True)) | {"accuracy": final_accuracy(found)}
            for values, found in rows.groupby(grid, sort=False)
        ]
        finished = [one for one in tried if one["accuracy"] is not None]
        if not finished:
            raise SpecError(f"arm '{arm}': with every value of {', '.join(grid)} a run diverged")
        best = max(finished, key=lambda one: one["accuracy"])
        outcome[str(arm)] = {
            "chosen": {key: best[key] for key in grid},
            "accuracy": best["accuracy"],
            "at_edge": [key for key in grid if best[key] in (rows[key].min(), rows[key].max())],
            "tried": tried,
        }
    return outcome


def final_accuracy(rows: pd.DataFrame) -> float | None:
    """Mean over seeds of the last measured accuracy of the mean device; None if a run diverged."""
    if (rows["status"] != "finished").any():
        return None
    return float(rows.groupby("seed")["accuracy_mean"].last().mean())
