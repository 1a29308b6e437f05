"""Keeps what `p2pl.outputs` writes, snapshot by snapshot."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from p2pl.engine import Setting, Snapshot
from p2pl.losses import dense_targets
from p2pl.outputs import check_size


class Recorder:
    """Of one run: outputs of every device at every evaluated moment, and parameters at the first and the last.

    Raises SpecError if there is no room for them.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting, data = setting, setting.work.data
        rows = torch.from_numpy(np.concatenate(data.shards))
        self.inputs, self.targets = data.inputs[rows], dense_targets(data.targets[rows], setting.data.classes)
        self.rounds: list[int] = []
        self.phases: list[str] = []
        self.train: list[np.ndarray] = []
        self.test: list[np.ndarray] = []
        self.ends: list[Tensor] = []
        samples = len(rows) + len(setting.meter.inputs)
        check_size(
            setting.scenario.moments, len(data.shards), samples, setting.data.classes, data.inputs.element_size()
        )

    def take(self, snapshot: Snapshot) -> None:
        """To be called with every snapshot that has measures."""
        self.rounds.append(snapshot.round)
        self.phases.append(snapshot.phase)
        self.train.append(self._outputs(snapshot.models, self.inputs))
        self.test.append(self._outputs(snapshot.models, self.setting.meter.inputs))
        self.ends = [*self.ends[:1], snapshot.models]

    def _outputs(self, models: Tensor, inputs: Tensor) -> np.ndarray:
        outputs = [self.setting.work.learner.outputs(row, inputs) for row in torch.split(models, 1)]
        whole: np.ndarray = torch.cat(outputs).cpu().numpy()
        return whole

    def arrays(self) -> dict[str, np.ndarray]:
        """See `p2pl.outputs`."""
        return {
            "rounds": np.array(self.rounds),
            "phases": np.array(self.phases),
            "train": np.stack(self.train),
            "test": np.stack(self.test),
            "targets": self.targets.cpu().numpy(),
            "start": self.ends[0].cpu().numpy(),
            "end": self.ends[-1].cpu().numpy(),
        }
