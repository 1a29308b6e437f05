"""A run between two rounds, on disk: what is killed goes on, to the very same bytes.

Random streams have no position to save (`p2pl.seeds`): a checkpoint is the algorithm's state, the rows measured so far,
what the channel has counted and what is under way in it. Failure models with a history are played again from the start,
which costs their draws and weights alone. Tensors are saved from the CPU, wherever they were. A checkpoint of other
code or of another spec is not used.

One file a run beside the results that it will become part of, written whole or not at all, removed once they are there.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from p2pl import fingerprint
from p2pl.accelerator import moved
from p2pl.atomic import halves, write_whole
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
            "stamp": stamp(setting),
            "round": snapshot.round,
            "status": snapshot.status,
            "rows": json.dumps(rows),
            "state": moved(snapshot.state._asdict(), "cpu") if running else {},
            "channel": moved(setting.channel.memory(), "cpu") if running else {},
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        whole = hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue()
        try:
            write_whole(self.path(setting.experiment), lambda file: file.write(whole))
        except OSError as problem:  # a run without a checkpoint is better than no run
            warnings.warn(f"no checkpoint of {setting.experiment.key}: {problem}", RuntimeWarning, stacklevel=2)

    def find(self, setting: Setting) -> dict[str, Any] | None:
        """The checkpoint of a run, if there is one, undamaged, made by this code from this spec and these data."""
        try:
            whole = self.path(setting.experiment).read_bytes()
        except OSError:
            return None
        digest, saved = whole[:32], whole[32:]
        if hashlib.sha256(saved).digest() != digest:
            return None
        content: dict[str, Any] = torch.load(io.BytesIO(saved), weights_only=True)
        return content if content["stamp"] == stamp(setting) else None

    def clear(self, experiments: Sequence[Experiment]) -> None:
        """Remove the checkpoints, and what a kill left of one half-written: their rows are in the results now."""
        for experiment in experiments:
            path = self.path(experiment)
            for left in (path, *halves(path)):
                left.unlink(missing_ok=True)


def stamp(setting: Setting) -> str:
    """Says which spec, with which code and engine on which data, a checkpoint belongs to."""
    code = fingerprint.of_experiment(setting.experiment)
    engine = setting.work.learner.name
    return f"{setting.experiment.key} {code} {setting.data.checksum} torch {torch.__version__} engine {engine}"


def resumption(content: dict[str, Any], setting: Setting) -> Resumption:
    """What `p2pl.engine.unfold` goes on from. The setting's channel is brought to where it was."""
    blank, device = setting.algorithm.start(setting.draw(), setting.work), setting.work.data.inputs.device
    setting.channel.recall(moved(content["channel"], device))
    return Resumption(type(blank)(**moved(content["state"], device)), content["round"])
