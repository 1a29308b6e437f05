"""p2pl: a reproducible benchmark and analysis suite for peer-to-peer deep learning.

from p2pl import Experiment, simulate

for snapshot in simulate(Experiment(dataset="digits", devices=8, rounds=20)):
    print(snapshot.round, snapshot.phase, snapshot.measures["accuracy_mean"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from p2pl.experiment import Experiment
from p2pl.registry import SpecError

if TYPE_CHECKING:
    from p2pl.engine import Snapshot, simulate

__all__ = ["Experiment", "Snapshot", "SpecError", "simulate"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The engine, and with it torch, is imported when it is first asked for: specs alone need neither."""
    if name in ("Snapshot", "simulate"):
        from p2pl import engine

        return getattr(engine, name)
    raise AttributeError(f"module 'p2pl' has no attribute '{name}'")
