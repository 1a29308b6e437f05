"""Messages that come late, or are not sent at every chance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from p2pl.registry import Count, Natural, failure
from p2pl.transmission import Fate


@failure
def delay(steps: Natural = 1) -> Iterator[Fate]:
    """Every message is `steps` mixing steps under way: a device mixes its own model with old ones of its neighbours.

    With one consensus step a round, mixing steps are rounds. Until the first message has come, nobody is heard.
    """
    while True:
        yield Fate(delay=steps)


@failure
def intermittent(links: np.ndarray, every: Count = 2) -> Iterator[Fate]:
    """Devices speak only at every `every`-th mixing step (the last of each `every`); else nothing is sent or paid."""
    step = 0
    while True:
        step += 1
        yield Fate(sent=np.full(len(links), step % every == 0))
