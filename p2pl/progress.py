"""Progress of runs on stderr: a bar with an ETA on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from p2pl.experiment import Experiment

EVERY_SECONDS = 10.0  # between two plain lines


class Progress:
    """Counts rounds over several runs. rounds: how many each of them has."""

    def __init__(self, rounds: Sequence[int]) -> None:
        self.console = Console(stderr=True)
        self.total, self.done = sum(rounds), 0
        self.began = self.said = time.monotonic()
        self.engines: set[str] = set()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Bar(*columns, console=self.console, disable=not self.console.is_terminal, transient=True)

    def __enter__(self) -> Self:
        self.bar.start()
        self.task = self.bar.add_task("rounds", total=self.total)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def announce(self, engine: str) -> None:
        """Which engine learns in the run that begins; said once for each engine."""
        if engine not in self.engines:
            self.engines.add(engine)
            print(f"engine: {engine}", file=sys.stderr, flush=True)

    def report(self, experiment: Experiment, number: int, measures: dict[str, Any] | None) -> None:
        """One more round of a run is done (round 0 is its start)."""
        self.done += bool(number)
        words = f"seed {experiment.seed}, round {number}" + short(measures)
        self.bar.update(self.task, completed=self.done, description=words)
        now = time.monotonic()
        if not self.console.is_terminal and now - self.said > EVERY_SECONDS and self.done:
            self.said = now
            left = (now - self.began) * (self.total - self.done) / self.done
            print(f"{words}; {self.done} of {self.total} rounds, about {left:.0f} s left", file=sys.stderr, flush=True)

    def summary(self, summaries: Sequence[dict[str, Any]], path: Path) -> None:
        """The outcome of every run as a table on stderr."""
        names = {
            "seed": "seed",
            "status": "status",
            "accuracy_mean": "mean",
            "accuracy_min": "worst",
            "accuracy_of_average": "average",
            "consensus_distance": "distance",
            "rounds_to_target": "rounds",
            "bytes_sent": "MB",
            "seconds": "s",
        }
        target = summaries[0]["target"]
        table = Table(box=None, pad_edge=False)
        for heading in names.values():
            table.add_column(heading, justify="right")
        for one in summaries:
            table.add_row(*(cell(name, one[name]) for name in names))
        self.console.print(table)
        self.console.print(
            f"test accuracy of the mean device, the worst, the average model; consensus distance; rounds until the mean"
            f" reaches {target:g}; sent by all devices; time. Written to {path}",
            style="dim",
        )


def short(measures: dict[str, Any] | None) -> str:
    if not measures:
        return ""
    accuracy = measures["accuracy_mean"]
    return f", loss {measures['loss_mean']:.3g}" if accuracy is None else f", accuracy {accuracy:.3f}"


def cell(name: str, value: Any) -> str:
    if value is None:
        return "never" if name.startswith("rounds_to") else "-"
    if name == "bytes_sent":
        return f"{value / 1e6:.1f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
