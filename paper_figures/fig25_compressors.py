"""**Which compressor learns most from its bytes?** Sparse-Push (our reading) among {devices} devices on a digraph that
is not regular: test accuracy of the mean device after {rounds} rounds of one mini-batch and one exchange, against what
a device has sent, on a logarithmic axis. From right to left a value takes 32 bits (dense), 4, 2 and 1; what is sent of
it: all, rounded to the nearest of evenly spaced values (low precision) or at random (QSGD) or to its sign; or only the
largest differences to public copies (top-k) or any (random-k), places included. Each has the consensus step that was
best for it with skewed data, of those tried; the learning rate is one for all. **a** Data shared out evenly. **b**
Data sorted by class. Marks, side by side where bytes are alike, are means over n = {seeds} seeds, bars their 95 %
Student-t intervals; dotted: all that dense reaches. The axis of accuracy is logarithmic in the error.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from p2pl.stats import last_phase
from paper_figures import style
from paper_figures.costs import with_megabytes
from paper_figures.finals import draw_finals, final, zoomed_accuracy_axis

NEEDS = ("compressors",)

KIND, SHARED = "kind", "partition"


def draw(results: dict[str, pd.DataFrame]) -> Figure:
    table = results["compressors"]
    sent = with_megabytes(last_phase(table)).groupby(["arm", SHARED, "round"])["megabytes"].mean().reset_index()
    points = final(table, ["arm", SHARED], "accuracy_mean").merge(sent)
    points = points.assign(**{KIND: points["arm"].str.rpartition(", ")[0]})
    looks = style.looks(style.unique(points, KIND), {"dense": style.Look(style.BLACK, "-", "*")})
    figure = style.page(3.4)
    panels = list(figure.subplots(1, 2))
    ways = zip(panels, style.unique(points, SHARED), "ab", strict=True)
    for ax, way, letter in ways:
        here = points[points[SHARED] == way]
        ax.axhline(100 * here.loc[here[KIND] == "dense", "mean"].iloc[0], color=style.GREY, linestyle=":", zorder=0)
        draw_finals(ax, here, KIND, "megabytes", looks)
        ax.set_xscale("log")
        ax.margins(x=0.09)
        zoomed_accuracy_axis([ax], here)
        ax.set_xlabel("sent per device (MB)")
        style.panel(ax, letter, "data shared out evenly" if way == "iid" else "data sorted by class")
    panels[0].set_ylabel("test accuracy (%)")
    style.legend(figure, looks)
    return figure
