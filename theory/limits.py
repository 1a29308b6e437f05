"""Where a prediction from the initialization cannot be trusted, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from p2pl.experiment import Experiment

SPREAD, DRIFT = 0.1, 0.5


def warnings_of(experiment: Experiment, facts: Mapping[str, Any], drift: float | None = None) -> list[str]:
    """One sentence for each way in which a spec is out of the theory's range; none if it is within.

    facts: `spread` of the starts, sqrt(mean_k ||x_k - mean||^2) / ||mean||; `rows`, N C; `parameters`, P;
    `growth_onset_lr` (or None). drift: how far the kernel has moved over the run, relative, where that is known.
    """
    found = []
    if facts["spread"] > SPREAD:
        found.append(
            f"devices start {facts['spread']:.0%} of a model's size apart: the network is not linear over such a"
            " distance (an initialization by election, or shared, has a common start)"
        )
    onset, lr = facts["growth_onset_lr"], experiment.training.lr
    if onset is not None and lr > onset:
        found.append(f"training.lr {lr:g} is past the onset of growth, {onset:.3g}: the linearized errors grow")
    if facts["rows"] > facts["parameters"]:
        found.append(
            f"there are more outputs to fit (N C = {facts['rows']:,}) than parameters ({facts['parameters']:,}): the"
            " kernel is singular, and part of the residual stays"
        )
    if drift is not None and drift > DRIFT:
        found.append(f"the kernel has moved by {drift:.0%} over the run: the network learned features")
    return found
