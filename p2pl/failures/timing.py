"""Messages that come late, or are not sent at every chance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from p2pl.registry import Count, Natural, failure
from p2pl.transmission import Fate, Moment


@failure
def delay(steps: Natural = 1) -> Iterator[Fate]:
    """Every message is `steps` mixing steps under way: a device mixes its own model with old ones of its neighbours.

    With one consensus step a round, mixing steps are rounds. Until the first message has come, nobody is heard.
    """
    while True:
        yield Fate(delay=steps)


@failure
def intermittent(links: np.ndarray, moment: Moment, every: Count = 2) -> Iterator[Fate]:
    """Devices cooperate in rounds `every`, 2 `every`, ... only, and at the start; else nothing is sent or paid."""
    while True:
        yield Fate(sent=np.full(len(links), moment.round % every == 0))
