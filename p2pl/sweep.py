"""A block of the table `config/config.yaml` becomes cells: one experiment each, to be run with every seed.

topologies:
  asks: Does a sparse graph reach what a server reaches?        (for the reader)
  base: {devices: 20, rounds: 40}                               (laid over the table's `defaults`)
  arms: {ring: {topology: ring}, FedAvg: {algorithm: fedavg}}   (named variations; one unnamed arm if left out)
  grid: {training.lr: [.05, .1]}                                (crossed with every arm)
  grids: {ring: {training.lr: [.1, .2]}}                        (arms with values of their own, or with more keys)
  seeds: 5                                                      (0..4, or a list)
  tuned: learning_rates           (a block of the same arms: each arm takes what was best there, on that block's seeds)
  predict: [none, geometric]      (each run is predicted by the theory, too, with these `--cuts`, and compared)
  forecast: [span]                (each run is forecast, too, in these ways, `--by`, and compared)
  onset: [0.97, 1.03]             (in place of runs: at which learning rate growth begins; `--around`, [] for none)
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from p2pl.experiment import Experiment, overlay
from p2pl.options import expected
from p2pl.registry import SpecError, did_you_mean


@dataclass(frozen=True)
class Cell:
    """One experiment of a block with all its seeds, its arm, and the labels of its grid values.

    tuned: the block whose outcome (see `p2pl.tuning`) is laid over the experiment when it is run; None for none.
    predict: with which cuts the theory predicts it; by none if empty. forecast: in which ways it is forecast.
    onset: if not None, it is only asked when it grows, by runs at these shares of the predicted learning rate.
    """

    block: str
    arm: str
    labels: dict[str, Any]
    experiment: Experiment
    seeds: tuple[int, ...]
    tuned: str | None = None
    predict: tuple[str, ...] = ()
    forecast: tuple[str, ...] = ()
    onset: tuple[float, ...] | None = None

    @property
    def key(self) -> str:
        """Names the results file: the experiment without its seed, the seeds, and what is taken from where."""
        told = [self.experiment.replace(seed=0).spec(), self.seeds, *([self.tuned, self.arm] if self.tuned else [])]
        told += [] if self.onset is None else [self.onset]
        written = json.dumps(told, sort_keys=True)
        return hashlib.sha256(written.encode()).hexdigest()[:12]

    @property
    def spec(self) -> str:
        """The experiment in one line, as `p2pl run` takes it."""
        every = self.experiment.checkpoint_every
        return json.dumps(self.experiment.spec() | ({"checkpoint_every": every} if every else {}))

    @property
    def columns(self) -> dict[str, Any]:
        """What `collect` writes beside each row: `experiment`, `arm`, and a label for each grid key."""
        return {"experiment": self.block, "arm": self.arm, **self.labels}


def label(value: Any) -> Any:
    """A grid value as a cell of a table: numbers and words as they are, a mapping as `name(option=value)`."""
    if isinstance(value, Mapping):
        options = ", ".join(f"{key}={item}" for key, item in value.items() if key != "name")
        return f"{value.get('name', '')}({options})" if options else value.get("name", "")
    return json.dumps(value) if isinstance(value, list | tuple) else value


def labels(values: list[Any]) -> list[Any]:
    """Labels for the values of one grid key: all numbers, or all words (a column has one type)."""
    found = [label(value) for value in values]
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in found)
    return found if numbers else [one if isinstance(one, str) else json.dumps(one) for one in found]


def seeds_of(seeds: int | list[int]) -> tuple[int, ...]:
    """`5` means seeds 0 to 4; a list means itself."""
    return tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)


def cells(table: Mapping[str, Any], block: str) -> list[Cell]:
    """The cells of one block. Raises SpecError that names the block, and the arm, where a spec is wrong."""
    entry = checked(table["experiments"][block], block)
    base = overlay(table.get("defaults") or {}, entry.get("base") or {})
    arms = entry.get("arms") or {"": {}}
    grids = {arm: (entry.get("grid") or {}) | ((entry.get("grids") or {}).get(arm) or {}) for arm in arms}
    tried: dict[str, list[Any]] = {}
    for grid in grids.values():
        for key, values in grid.items():
            tried.setdefault(key, []).extend(values)
    shown = {key: labels(values) for key, values in tried.items()}
    found = []
    for arm, changes in arms.items():
        for combination in itertools.product(*grids[arm].values()):
            values = dict(zip(grids[arm], combination, strict=True))
            try:
                experiment = Experiment.of(overlay(overlay(base, changes or {}), values))
            except SpecError as problem:
                raise SpecError(f"experiment '{block}'{f', arm {arm!r}' if arm else ''}: {problem}") from None
            told = {key: shown[key][tried[key].index(value)] for key, value in values.items()}
            seeds = seeds_of(entry.get("seeds", 5))
            predict, forecast = (tuple(entry.get(key) or ()) for key in ("predict", "forecast"))
            onset = tuple(entry["onset"]) if "onset" in entry else None
            found.append(Cell(block, str(arm), told, experiment, seeds, entry.get("tuned"), predict, forecast, onset))
    return found


def checked(entry: Any, block: str) -> Mapping[str, Any]:
    """A block as it is. Raises SpecError if it is not of the shape of the module's docstring."""
    if not isinstance(entry, Mapping) or not all(
        isinstance(entry.get(k) or {}, Mapping) for k in ("base", "arms", "grid", "grids")
    ):
        raise SpecError(f"experiment '{block}': a block is a mapping, and so are its base, arms, grid and grids")
    arms, seeds = entry.get("arms") or {}, entry.get("seeds", 5)
    if not all(isinstance(changes or {}, Mapping) for changes in arms.values()):
        raise SpecError(f"experiment '{block}': each arm is a mapping of keys to values")
    if expected("Count", seeds) and (expected("list[Natural]", seeds) or len({*seeds}) < max(1, len(seeds))):
        raise SpecError(f"experiment '{block}': seeds are a number of them, or a list of different ones, not {seeds!r}")
    grid, own = entry.get("grid") or {}, entry.get("grids") or {}
    if wrong := [arm for arm in own if arm not in arms]:
        raise SpecError(f"experiment '{block}', grids: there is no arm '{wrong[0]}'{did_you_mean(wrong[0], arms)}")
    if not all(isinstance(values or {}, Mapping) for values in own.values()):
        raise SpecError(f"experiment '{block}', grids: each arm has a mapping of keys to lists of values")
    for key, values in itertools.chain(grid.items(), *(values.items() for values in own.values() if values)):
        if not isinstance(values, list) or not values:
            raise SpecError(f"experiment '{block}': each key of a grid has a list of values, and so must '{key}'")
        if any(values.count(value) > 1 for value in values):
            raise SpecError(f"experiment '{block}': a value of the grid is given twice, of '{key}'")
    theory = [key for key in ("predict", "forecast", "onset") if key in entry]
    if entry.get("tuned") and theory:
        raise SpecError(f"experiment '{block}' takes tuned values, which a prediction cannot: leave out one of the two")
    if "onset" in theory and len(theory) > 1:
        raise SpecError(f"experiment '{block}' has an onset, and so no runs to {theory[0]}: leave out one of the two")
    said = [grid, entry.get("base") or {}, *arms.values(), *own.values()]
    if any("seed" in changes for changes in said if changes):
        raise SpecError(f"experiment '{block}': say `seeds`, beside base and grid, and not `seed`")
    return entry


def index(table: Mapping[str, Any]) -> dict[str, list[Cell]]:
    """Every block of the table with its cells. Raises SpecError as `cells` does, and for tuning that is not there."""
    found = {block: cells(table, block) for block in table["experiments"]}
    for cell in itertools.chain(*found.values()):
        if cell.tuned is not None:
            check_tuning(cell, found)
    return found


def tables(blocks: Mapping[str, list[Cell]]) -> dict[str, tuple[str, list[Cell]]]:
    """Every table that is collected: its name -> the folder of its cells' files, and the cells.

    `block`, of its runs; and for each way to predict (or forecast) them `block.way.theory` (`block.way.forecast`), of
    what was said of them, and `block.way.errors`, of how far that is from the runs. `block.onset` in place of `block`.
    """
    found: dict[str, tuple[str, list[Cell]]] = {}
    for block, own in blocks.items():
        found |= {block: ("runs", own)} if own[0].onset is None else {f"{block}.onset": ("onsets", own)}
        for way, kind, folder in [
            *((way, "theory", "predictions") for way in own[0].predict),
            *((way, "forecast", "forecasts") for way in own[0].forecast),
        ]:
            found[f"{block}.{way}.{kind}"] = f"{folder}/{way}", own
            found[f"{block}.{way}.errors"] = f"comparisons/{way}", own
    return found


def check_tuning(cell: Cell, blocks: Mapping[str, list[Cell]]) -> None:
    """Raises SpecError unless the cell's arm can be found in the block that it takes its values from."""
    source = str(cell.tuned)
    if source not in blocks:
        hint = did_you_mean(source, blocks)
        raise SpecError(f"experiment '{cell.block}', tuned: there is no experiment '{source}'{hint}")
    offered = [other for other in blocks[source] if other.labels and other.tuned is None]
    arms = {other.arm for other in offered}
    if cell.arm not in arms:
        hint = did_you_mean(cell.arm, arms)
        raise SpecError(f"experiment '{cell.block}', tuned: '{cell.tuned}' has no grid for the arm '{cell.arm}'{hint}")
    if any(expected("float", value) for other in offered for value in other.labels.values()):
        raise SpecError(f"experiment '{cell.block}', tuned: the grid of '{source}' has values that are not numbers")
    if any({*cell.labels} & {*other.labels} for other in offered):
        raise SpecError(f"experiment '{cell.block}' has a grid of what it takes from '{source}'")
    if set(cell.seeds) & {seed for other in offered for seed in other.seeds}:
        raise SpecError(f"experiment '{cell.block}' has seeds on which '{cell.tuned}' was tuned: take others")
