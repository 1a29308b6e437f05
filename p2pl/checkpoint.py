"""A run between two rounds, on disk: what is killed goes on, to the very same bytes.

Random streams have no position to save (`p2pl.seeds`): a checkpoint is the algorithm's state, the rows measured so far,
what the channel has counted and what is under way in it. Failure models with a history are played again from the start,
which costs their draws alone. A checkpoint of other code or of another spec is not used.

One file a run beside the results that it will become part of, written whole or not at all, removed once they are there.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from p2pl import fingerprint
from p2pl.atomic import write_whole
from p2pl.engine import Resumption, Setting, Snapshot
from p2pl.experiment import Experiment


@dataclass(frozen=True)
class Keeper:
    """Keeps and finds the checkpoints of the runs that will make up the results file `out`."""

    out: Path

    def path(self, experiment: Experiment) -> Path:
        return self.out.parent / f".{self.out.name}.{experiment.key}.checkpoint"

    def keep(self, setting: Setting, snapshot: Snapshot, rows: list[dict[str, Any]]) -> None:
        """Save a run after a whole round; of a finished one the rows alone."""
        running = snapshot.status == "running"
        content = {
            "stamp": stamp(setting.experiment),
            "round": snapshot.round,
            "status": snapshot.status,
            "rows": json.dumps(rows),
            "state": snapshot.state._asdict() if running else {},
            "channel": setting.channel.memory() if running else {},
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_whole(self.path(setting.experiment), lambda file: file.write(buffer.getvalue()))

    def find(self, experiment: Experiment) -> dict[str, Any] | None:
        """The checkpoint of a run, if there is one that can be read and was made by this code from this spec."""
        try:
            content: dict[str, Any] = torch.load(self.path(experiment), weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
            return None
        return content if content.get("stamp") == stamp(experiment) else None

    def clear(self, experiments: Sequence[Experiment]) -> None:
        """Remove the checkpoints: their rows are in the results now."""
        for experiment in experiments:
            self.path(experiment).unlink(missing_ok=True)


def stamp(experiment: Experiment) -> str:
    """Says which spec, with which code, a checkpoint belongs to."""
    return f"{experiment.key} {fingerprint.of_experiment(experiment)} torch {torch.__version__}"


def resumption(content: dict[str, Any], setting: Setting) -> Resumption:
    """What `p2pl.engine.unfold` goes on from. The setting's channel is brought to where it was."""
    setting.channel.recall(content["channel"])
    blank = setting.algorithm.start(setting.draws, setting.work)
    return Resumption(type(blank)(**content["state"]), content["round"])
