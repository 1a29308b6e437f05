"""Cells of figures: what they say of seeds, of diverged runs, and at a common budget."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from paper_figures import cells
from paper_figures.fig09_communication import at_budget
from paper_figures.style import BLUE, Look

FINISHED, DIVERGED = "finished", "diverged at round 3"


def runs(*statuses: str) -> pd.DataFrame:
    """Runs of four rounds, three megabytes a round after one for the start; seed s has accuracy .1 (s + 1) round."""
    rows = [
        {"run": f"run{seed}", "seed": seed, "status": status, "round": number, "megabytes": 1 + 3 * number,
         "phase": "cooperate" if number else "start", "value": 0.1 * (seed + 1) * number, "a": 1, "b": seed}
        for seed, status in enumerate(statuses) for number in range(0, 5 if status == FINISHED else 3, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_cell_says_its_mean_and_the_half_width_of_its_interval() -> None:
    # t with 2 degrees of freedom is 4.303; the standard deviation is 2.
    assert cells.said(pd.Series([90.0, 92.0, 94.0])) == f"92.0\n± {4.303 * 2 / 3**0.5:.1f}"
    assert cells.said(pd.Series([90.0])) == "90.0"


def test_a_cell_with_a_diverged_run_has_no_mean() -> None:
    last = cells.finals(runs(FINISHED, DIVERGED), "value")
    np.testing.assert_array_equal(last["value"], [0.4, np.nan])
    assert cells.said(last["value"]) == "1 of 2\ndiverged"
    ax = Figure().subplots()
    cells.whisker(ax, last["value"], 0, Look(BLUE, "-", "o"))
    assert not ax.lines
    assert [text.get_text() for text in ax.texts] == ["1 of 2 diverged"]


def test_the_end_of_a_run_is_after_cooperation_also_where_learning_follows() -> None:
    table = runs(FINISHED, DIVERGED)
    later = table[table["round"] > 0].assign(phase="learn", value=0.0)
    both = pd.concat([table, later]).sort_values(["run", "round"], kind="stable", ignore_index=True)
    np.testing.assert_array_equal(cells.finals(both, "value")["value"], [0.4, np.nan])


def test_a_heat_map_says_every_cell_once() -> None:
    ax, last = Figure().subplots(), cells.finals(runs(FINISHED, FINISHED, DIVERGED), "value")
    assert cells.limits(last, ("a", "b"), "value") == (40, 80)
    cells.heat_map(ax, last, ("a", "b"), "value", (40, 80))
    assert sorted(text.get_text() for text in ax.texts) == ["1 of 1\ndiverged", "40.0", "80.0"]


def test_at_a_budget_runs_are_compared_where_they_have_spent_it() -> None:
    ends = runs(FINISHED, FINISHED, DIVERGED)
    at_end, between = at_budget(ends, "megabytes", 13, "value"), at_budget(ends, "megabytes", 4, "value")
    np.testing.assert_allclose(at_end["value"], [0.4, 0.8, np.nan])
    np.testing.assert_allclose(between["value"], [0.1, 0.2, np.nan])  # after the first round, which was not evaluated
