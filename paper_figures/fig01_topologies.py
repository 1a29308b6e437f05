"""**Peer-to-peer learning over several graphs, against a server, all data in one place, and no cooperation.**
Test accuracy of the mean device (top) and of the worst device (bottom) at the end of each round, against rounds (left)
and against all bytes sent so far, the server's and those of the synchronization before the first round included,
divided by the number of devices (right; at the mean over seeds). Centralized and isolated training send nothing: on the
right they stand as their final accuracy. The axes of accuracy are logarithmic in the error.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pl.experiment import Experiment
from p2pl.stats import last_phase
from paper_figures import style
from paper_figures.style import BLACK, GREY, Look

NEEDS = ("topologies",)

REFERENCES = {
    "FedAvg": Look(BLACK, "-", "*"),
    "centralized": Look(BLACK, (0, (1, 1.5)), "None"),
    "isolated": Look(GREY, (0, (5, 1.5)), "None"),
}


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = per_device(results["topologies"])
    looks = style.looks(style.unique(table, "arm"), REFERENCES)
    figure = style.page(5.0)
    axes, letters = figure.subplots(2, 2, sharey="row", sharex="col"), iter("abcd")
    for row, (value, device) in zip(axes, (("accuracy_mean", "mean"), ("accuracy_min", "worst")), strict=True):
        style.curves(row[0], table, "arm", value, looks)
        sent = table[table["megabytes"] > 0]
        style.curves(row[1], sent, "arm", value, looks, x="megabytes")
        for arm, look in looks.items():
            if arm not in set(sent["arm"]):
                level(row[1], table[table["arm"] == arm], value, look)
        style.accuracy_axis(row)
        row[0].set_ylabel("test accuracy (%)")
        for ax in row:
            style.panel(ax, next(letters), f"{device} device")
    axes[1, 0].set_xlabel("round")
    axes[1, 1].set_xlabel("sent per device (MB)")
    axes[1, 1].set_xscale("log")
    style.legend(figure, looks)
    return figure


def per_device(table: pd.DataFrame) -> pd.DataFrame:
    """The last phase of each round, with the megabytes that a device has sent on average."""
    devices = {run: Experiment.of(spec).devices for run, spec in table.attrs["specs"].items()}
    ends = last_phase(table)
    return ends.assign(megabytes=ends["bytes_sent"] / ends["run"].map(devices) / 1e6)


def level(ax: Axes, rows: pd.DataFrame, value: str, look: Look) -> None:
    """The final mean over seeds as a horizontal line, if all of them got there."""
    if (rows["status"] == "finished").all():
        final = rows.loc[rows["round"] == rows["round"].max(), value].mean()
        ax.axhline(100 * final, color=look.color, linestyle=look.linestyle)
