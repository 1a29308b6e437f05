"""**Hundreds of times fewer bytes, in a run as long as the paper's.** Test accuracy of the mean device over {rounds}
rounds of one mini-batch and one exchange: push-sum that sends all (dense) and Sparse-Push (our reading) that sends the
share of the values that its name says, with data shared out evenly or sorted by class (skewed), and with last rounds
that only merge (merged). **a** Against rounds. **b** Against what a device has sent, on a logarithmic axis. Bands: 95 %
Student-t intervals over n = {seeds} seeds. The axis of accuracy is logarithmic in the error.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from p2pl.stats import last_phase
from paper_figures import style
from paper_figures.costs import with_megabytes

NEEDS = ("long_run",)


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = with_megabytes(last_phase(results["long_run"]))
    looks = style.looks(style.unique(table, "arm"))
    figure = style.page(3.2)
    rounds, sent = figure.subplots(1, 2, sharey=True)
    style.curves(rounds, table, "arm", "accuracy_mean", looks)
    style.curves(sent, table[table["megabytes"] > 0], "arm", "accuracy_mean", looks, x="megabytes")
    rounds.locator_params(axis="x", nbins=5)
    sent.set_xscale("log")
    style.accuracy_axis([rounds, sent])
    for ax, letter, x, title in ((rounds, "a", "round", "rounds"), (sent, "b", "sent per device (MB)", "bytes")):
        ax.set_xlabel(x)
        style.panel(ax, letter, f"accuracy against {title}")
    rounds.set_ylabel("test accuracy (%)")
    style.legend(figure, looks)
    return figure
