"""An Experiment says everything that determines a run, and nothing else; it is checked when it is made.

    experiment = Experiment(dataset="digits", devices=8, topology={"name": "random_regular", "degree": 3}, seed=3)
    experiment.key          # a short hash of whatever differs from the defaults

The keys are those of a spec file; a component is a name, or a mapping with `name` and options. Nothing here imports
torch: thousands of experiments are made and hashed while a Snakefile is parsed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from p2pl import registry
from p2pl.fields import Chosen, ChosenSeveral, ComponentField
from p2pl.groups import Checked, Evaluation, Training
from p2pl.registry import Component, Count, Natural, SpecError
from p2pl.yaml_files import read_yaml

TRAINING, EVALUATION = Training(), Evaluation()


@dataclass(frozen=True)
class Experiment(Checked):
    """One run. Raises SpecError for unknown names, wrong types, ranges and combinations, before anything is built.

    engine: what learns on the devices: `torch`, any model; `native`, multi-layer perceptrons in float32, several times
    as fast, once `p2pl build` has been run; `auto`, native where it can. Their results differ in the last digits.

    device: where: `cpu`; `cuda`, a GPU, by the torch engine; `auto`, cuda where there is one. It is `cpu` unless said
    otherwise: whether a machine has a GPU then changes no result, the pipeline's many processes do not share one, and
    small models learn faster there.

    checkpoint_every: after how many rounds the run is saved, so as to go on from there if it is killed. It is the one
    field that changes nothing in the results, and so no part of `spec()` and `key`.
    """

    dataset: Chosen = Chosen(registry.dataset, "mnist5k")
    devices: Count = 10
    partition: Chosen = Chosen(registry.partition, "iid")
    sizes: Chosen = Chosen(registry.sizes, "equal")
    topology: Chosen = Chosen(registry.topology, "ring")
    mixing: Chosen = Chosen(registry.mixing, "p2pl")
    initialization: Chosen = Chosen(registry.initialization, "max_norm")
    failures: ChosenSeveral = ChosenSeveral(registry.failure, None)
    algorithm: Chosen = Chosen(registry.algorithm, "p2pl")
    compression: Chosen = Chosen(registry.compressor, "none")
    model: Chosen = Chosen(registry.model, "mlp")
    loss: Literal["cross_entropy", "mse"] = "cross_entropy"
    samples: Count | None = None
    dtype: Literal["float32", "float64"] = "float32"
    engine: Literal["auto", "torch", "native"] = "auto"
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    training: Training = TRAINING
    schedule: Chosen = Chosen(registry.schedule, "constant")
    evaluation: Evaluation = EVALUATION
    rounds: Natural = 30
    seed: Natural = 0
    checkpoint_every: Count | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "training", Training.of(self.training))
        object.__setattr__(self, "evaluation", Evaluation.of(self.evaluation))
        self._refuse_combinations()

    def _refuse_combinations(self) -> None:
        if self.seed >= 2**63:
            raise SpecError(f"seed: expected an integer below 2^63, got {self.seed}")
        regression = registry.dataset.entry(self.dataset.name).traits.get("regression", False)
        if regression and self.loss != "mse":
            raise SpecError(f"dataset '{self.dataset.name}' has real-valued targets: set loss: mse")
        if self.device == "cuda" and self.engine == "native":
            raise SpecError("engine: native computes on the CPU: with device: cuda set engine: torch or auto")
        if self.failures and not self.uses_graph:
            raise SpecError(
                f"algorithm '{self.algorithm.name}' does not use the links between devices, so failures of links"
                " mean nothing to it: leave failures out"
            )
        if 0 < self.rounds < self.training.warmup:
            raise SpecError(
                f"training.warmup: expected at most {self.rounds}, the number of rounds, got {self.training.warmup}"
            )
        self._refuse_compression()

    def _refuse_compression(self) -> None:
        name, entries = self.compression.name, registry.algorithm.entries
        if name == "none":
            return
        able = sorted(one for one, entry in entries.items() if entry.traits.get("compresses"))
        if self.algorithm.name not in able:
            raise SpecError(
                f"algorithm '{self.algorithm.name}' sends its models as they are, so compression '{name}' means nothing"
                f" to it; what compresses: {', '.join(able)}"
            )
        if any(registry.failure.entry(one.name).traits.get("parts") for one in self.failures):
            raise SpecError("packets are lost of messages that hold whole models: with compression lose whole messages")

    @property
    def uses_graph(self) -> bool:
        """Whether the algorithm speaks over the links of the graph at all."""
        return bool(registry.algorithm.entry(self.algorithm.name).traits.get("graph", True))

    def spec(self) -> dict[str, Any]:
        """The run as plain data: only what differs from the defaults, in the order of the keys."""
        short: dict[str, Any] = {}
        for item in dataclasses.fields(self):
            if item.name == "checkpoint_every":
                continue
            value = getattr(self, item.name)
            field = vars(Experiment).get(item.name)
            if isinstance(field, ChosenSeveral):
                value = [field.short(one) for one in value] or None
            elif isinstance(field, Chosen):
                value = field.short(value)
            elif isinstance(value, Checked):
                value = value.differences() or item.default
            if value != item.default:
                short[item.name] = value
        return short

    @property
    def components(self) -> list[tuple[registry.Family, Component]]:
        """Everything chosen from a family, with the family."""
        found: list[tuple[registry.Family, Component]] = []
        for name, field in vars(Experiment).items():
            if isinstance(field, ComponentField):
                value = getattr(self, name)
                found += [(field.family, one) for one in (value if isinstance(value, tuple) else [value])]
        return found

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that stand for `spec()`: equal runs have equal keys however they are written."""
        written = json.dumps(self.spec(), sort_keys=True)
        return hashlib.sha256(written.encode()).hexdigest()[:12]

    def replace(self, **changes: Any) -> Experiment:
        """The same run but for some keys; a dotted key (`training.lr`) is given as in `overlay`."""
        return Experiment.of(overlay(self.spec() | {"checkpoint_every": self.checkpoint_every}, changes))

    @classmethod
    def from_yaml(cls, path: str | Path) -> Experiment:
        """Read from a spec file. Raises SpecError naming the file if it is missing or is not YAML."""
        content = read_yaml(path)
        return cls.of({} if content is None else content)


def overlay(spec: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A spec with `changes` laid over it: `{"training.lr": .1}` reaches inside, other keys replace the whole value.

    A dotted key into a component keeps its other options: over `topology: star`, `topology.hub: 2` gives
    `{name: star, hub: 2}`.
    """
    result = dict(spec)
    for key, value in changes.items():
        outer, _, inner = key.partition(".")
        if inner:
            held = result.get(outer)
            if outer == "failures":
                held = held[0] if isinstance(held, list | tuple) and len(held) == 1 else held
                if not isinstance(held, str | Mapping):
                    raise SpecError(f"'{key}': name one failure first, as in failures: {{name: links}}")
            if held is None and isinstance(vars(Experiment).get(outer), Chosen):
                held = getattr(Experiment, outer)
            if not isinstance(held, str | Mapping | None):
                raise SpecError(f"'{key}': '{outer}' has no inner keys")
            inside = {"name": held} if isinstance(held, str) else dict(held or {})
            result[outer] = overlay(inside, {inner: value})
        else:
            result[key] = value
    return result
