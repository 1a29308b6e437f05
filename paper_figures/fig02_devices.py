"""**Does it still work when the same data are spread over more devices?** The training samples are the same in total
whatever their number K (logarithmic axes), so that each of many devices has few, and takes few steps in a round.
**a**, **b** Test accuracy of the mean device and of the worst device after the last round ({rounds}); the axes are
logarithmic in the error. **c** The worst device minus FedAvg's model, paired by seed, in percentage points: what is
due to there being no server, and not to there being less data on a device. **d** Bytes sent until then, the
synchronization before the first round included, divided by K. Marks are means over n = {seeds} seeds, bars their 95 %
Student-t intervals; marks are shifted sideways so as not to hide each other. A cross on the horizontal axis: a seed
diverged, and there is no mean.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from p2pl.stats import last_phase
from paper_figures import style
from paper_figures.finals import draw_finals, final, values_axis, zoomed_accuracy_axis
from paper_figures.style import Look

NEEDS = ("devices",)

CONTROL = "FedAvg"
CURVES = ["arm", "devices"]
TITLES = ("mean device", "worst device", "worst device minus FedAvg", "communication")


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["devices"]
    looks = style.looks(style.unique(table, "arm"), style.REFERENCES)
    figure = style.page(4.9)
    (mean, worst), (gap, cost) = figure.subplots(2, 2, sharex=True)
    for ax in (mean, worst, gap, cost):
        values_axis(ax, table["devices"])
    ends = {ax: final(table, CURVES, value) for ax, value in ((mean, "accuracy_mean"), (worst, "accuracy_min"))}
    for ax, points in ends.items():
        draw_finals(ax, points, "arm", "devices", looks)
        ax.set_ylabel("test accuracy (%)")
    zoomed_accuracy_axis([mean, worst], *ends.values())
    differences(gap, table, looks)
    sent(cost, table, looks)
    for ax, letter, title in zip((mean, worst, gap, cost), "abcd", TITLES, strict=True):
        style.panel(ax, letter, title)
    for ax in (gap, cost):
        ax.set_xlabel("number of devices K")
    style.legend(figure, looks)
    return figure


def differences(ax: Axes, table: pd.DataFrame, looks: dict[str, Look]) -> None:
    """The worst device's accuracy minus that of the control with the same seed and as many devices."""
    ends = last_phase(table)
    place = ["devices", "seed", "round"]
    control = ends[ends["arm"] == CONTROL].set_index(place)["accuracy_min"]
    against = control.reindex(pd.MultiIndex.from_frame(table[place])).to_numpy()
    gains = final(table.assign(gain=table["accuracy_min"] - against), CURVES, "gain")
    ax.axhline(0, color=looks[CONTROL].color, linestyle=looks[CONTROL].linestyle)
    others = {name: look for name, look in looks.items() if name != CONTROL}
    draw_finals(ax, gains, "arm", "devices", others)
    ax.set_ylabel("difference (points)")


def sent(ax: Axes, table: pd.DataFrame, looks: dict[str, Look]) -> None:
    """What a device has sent in the mean when all is over."""
    each = table.assign(megabytes=table["bytes_sent"] / table["devices"] / 1e6)
    draw_finals(ax, final(each, CURVES, "megabytes"), "arm", "devices", looks, scale=1)
    ax.set_yscale("log")
    ax.set_ylabel("sent per device (MB)")
