"""Our engines: every value of the spec's key `engine`, through the parts of a round that `p2pl run` goes through."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, get_args, get_type_hints

from torch import Tensor

from p2pl.benchmark.job import ROUND, Material
from p2pl.engine import prepare
from p2pl.experiment import Experiment

ENGINES = [name for name in get_args(get_type_hints(Experiment)["engine"]) if name != "auto"]  # which is one of these


class Ours:
    """One of our engines. Raises SpecError if it is not built."""

    differs: ClassVar[str] = ""

    def __init__(self, material: Material, engine: str, device: str = "cpu") -> None:
        self.setting = prepare(material.job.experiment(engine).replace(device=device), known=material.dataset)
        self.setting.work.round = ROUND
        self.state: Any = self.setting.algorithm.start(self.setting.draw(), self.setting.work)

    def epoch(self) -> None:
        self.state = self.setting.algorithm.learn(self.state, self.setting.work)

    def mix(self) -> None:
        self.state = self.setting.algorithm.cooperate(self.state, self.setting.channel)

    def evaluate(self) -> None:
        """What one evaluation of a run measures."""
        self.setting.meter.measure(self.parameters())

    def parameters(self) -> Tensor:
        return self.setting.algorithm.models(self.state)


PEERS = {name: partial(Ours, engine=name) for name in ENGINES}
