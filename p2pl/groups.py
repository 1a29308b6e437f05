"""Groups of keys of a spec, checked when they are made: how devices train, and what is measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from p2pl.options import canonical, did_you_mean, expected
from p2pl.registry import Count, Natural, NonNegative, Positive, Probability, SpecError


class Checked:
    """Frozen dataclasses with known keys, each checked against its annotation when the object is made.

    group: the key of a spec that they stand under; None for the spec itself.
    """

    group: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        where = f"{self.group}." if self.group else ""
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            if item.type not in ("Chosen", "ChosenSeveral", "Training", "Evaluation"):
                problem = expected(str(item.type), getattr(self, item.name))
                if problem:
                    raise SpecError(f"{where}{item.name}: expected {problem}, got {getattr(self, item.name)!r}")
                object.__setattr__(self, item.name, canonical(str(item.type), getattr(self, item.name)))

    @classmethod
    def of(cls, value: Any) -> Self:
        """Made from a mapping. Raises SpecError, with a did-you-mean, for a key that is not known."""
        if isinstance(value, cls):
            return value
        name = cls.group or "the spec"
        if not isinstance(value, Mapping):
            raise SpecError(f"{name}: expected a mapping of keys to values, got {value!r}")
        known = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for key in value:
            if key not in known:
                raise SpecError(f"{name} has no key '{key}'{did_you_mean(key, known)}")
        return cls(**value)

    def differences(self) -> dict[str, Any]:
        """The fields that differ from their defaults, as plain data."""
        return {
            item.name: getattr(self, item.name)
            for item in dataclasses.fields(self)  # type: ignore[arg-type]
            if getattr(self, item.name) != item.default
        }


@dataclass(frozen=True)
class Training(Checked):
    """A device's learning phase: SGD on its own samples, for `epochs` over them (1 by default) or `steps` mini-batches.

    velocity: of the heavy ball (or of Nesterov's form): `kept` on the device from round to round, or `reset` to zero.
    warmup: in so many first rounds the learning rate climbs, in equal steps, to what the spec's `schedule` makes of it.
    augment: `flip_crop`: of images a part, at random, after padding by 4 pixels, and half of them turned left to right.
    """

    group: ClassVar = "training"

    epochs: Count | None = None
    steps: Count | None = None
    batch_size: Count | Literal["full"] = 10
    lr: Positive = 0.05
    momentum: Probability = 0.5
    nesterov: bool = False
    weight_decay: NonNegative = 0.0
    velocity: Literal["kept", "reset"] = "kept"
    warmup: Natural = 0
    augment: Literal["none", "flip_crop"] = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs and self.steps:
            raise SpecError("training: give epochs or steps, not both")
        if self.epochs == 1:  # said or not, it is the same run, and has the same key
            object.__setattr__(self, "epochs", None)
        if self.nesterov and not self.momentum:
            raise SpecError("training: nesterov needs a momentum above 0")


@dataclass(frozen=True)
class Evaluation(Checked):
    """What is measured: `every` so many rounds (and at the last), on `samples` test samples (all by default).

    split: the `test` set; or, to choose learning rates by, `validation`: training samples that the spec's `samples`
    leave out. target: the accuracy of which `rounds_to_target` speaks. half_steps: also between the phases of a round.
    """

    group: ClassVar = "evaluation"

    every: Count = 1
    samples: Count | None = None
    split: Literal["test", "validation"] = "test"
    target: Probability = 0.9
    half_steps: bool = True

    def due(self, number: int, rounds: int, ends: bool) -> bool:
        """Whether there is one after a phase of round `number` of so many; ends: whether the round ends with it."""
        return (number % self.every == 0 or number == rounds) and (ends or self.half_steps)

    def moments(self, rounds: int) -> int:
        """How many there are: at the start, and in each due round."""
        return 1 + (1 + self.half_steps) * -(-rounds // self.every)
