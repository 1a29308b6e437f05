"""A block of the table `config/config.yaml` becomes cells: one experiment each, to be run with every seed.

topologies:
  asks: Does a sparse graph reach what a server reaches?        (for the reader)
  base: {devices: 20, rounds: 40}                               (laid over the table's `defaults`)
  arms: {ring: {topology: ring}, FedAvg: {algorithm: fedavg}}   (named variations; one unnamed arm if left out)
  grid: {training.lr: [.05, .1]}                                (crossed with every arm)
  seeds: 5                                                      (0..4, or a list)
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from p2pl.experiment import Experiment, overlay
from p2pl.registry import SpecError


@dataclass(frozen=True)
class Cell:
    """One experiment of a block with all its seeds, and where it stands in the block: its arm and grid values."""

    block: str
    arm: str
    values: dict[str, Any]
    experiment: Experiment
    seeds: tuple[int, ...]

    @property
    def key(self) -> str:
        """Names the results file: the experiment without its seed, and the seeds."""
        written = json.dumps([self.experiment.replace(seed=0).spec(), self.seeds], sort_keys=True)
        return hashlib.sha256(written.encode()).hexdigest()[:12]

    @property
    def spec(self) -> str:
        """The experiment in one line, as `p2pl run` takes it."""
        return json.dumps(self.experiment.spec())

    @property
    def columns(self) -> dict[str, Any]:
        """What `collect` writes beside each row: `experiment`, `arm`, and a label for each grid key."""
        return {"experiment": self.block, "arm": self.arm, **{key: label(value) for key, value in self.values.items()}}


def label(value: Any) -> Any:
    """A grid value as a cell of a table: numbers and words as they are, a mapping as `name(option=value)`."""
    if isinstance(value, Mapping):
        options = ", ".join(f"{key}={item}" for key, item in value.items() if key != "name")
        return f"{value.get('name', '')}({options})" if options else value.get("name", "")
    return json.dumps(value) if isinstance(value, list | tuple) else value


def seeds_of(seeds: int | list[int]) -> tuple[int, ...]:
    """`5` means seeds 0 to 4; a list means itself."""
    return tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)


def cells(table: Mapping[str, Any], block: str) -> list[Cell]:
    """The cells of one block. Raises SpecError that names the block, and the arm, where a spec is wrong."""
    entry = table["experiments"][block]
    base = overlay(table.get("defaults") or {}, entry.get("base") or {})
    grid = entry.get("grid") or {}
    found = []
    for arm, changes in (entry.get("arms") or {"": {}}).items():
        for combination in itertools.product(*grid.values()):
            values = dict(zip(grid, combination, strict=True))
            try:
                experiment = Experiment.of(overlay(overlay(base, changes or {}), values))
            except SpecError as problem:
                raise SpecError(f"experiment '{block}'{f', arm {arm!r}' if arm else ''}: {problem}") from None
            found.append(Cell(block, str(arm), values, experiment, seeds_of(entry.get("seeds", 5))))
    return found


def read_table(path: str | Path) -> dict[str, Any]:
    """A table of experiments from its YAML file. Raises SpecError naming the file if it is missing or is not one."""
    try:
        table = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as problem:
        raise SpecError(f"cannot read {path}: {problem.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise SpecError(f"{path} is not YAML: {problem}") from None
    if not isinstance(table, dict) or not isinstance(table.get("experiments"), dict):
        raise SpecError(f"{path} is no table of experiments: it has no key 'experiments'")
    return table


def index(table: Mapping[str, Any]) -> dict[str, list[Cell]]:
    """Every block of the table with its cells."""
    return {block: cells(table, block) for block in table["experiments"]}
