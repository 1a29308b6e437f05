"""What the devices' networks say, phase by phase: a file beside the results, for comparisons with a theory.

`r.parquet` has `r.outputs.npz`, which appears whole or not at all. It holds, for each run KEY of the results,

    KEY/rounds, KEY/phases     (S,) of the S evaluated moments, as in the results
    KEY/train, KEY/test        (S, K, N, C) and (S, K, T, C), outputs of all devices at all devices' training samples
                               (device after device), and at the test samples that are evaluated
    KEY/targets                (N, C) of the training samples, dense
    KEY/start, KEY/end         (K, P) parameters at the first and the last of these moments
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from p2pl.atomic import write_whole
from p2pl.registry import SpecError
from p2pl.results import ResultsError

ARRAYS = ("rounds", "phases", "train", "test", "targets", "start", "end")
Arrays = Mapping[str, np.ndarray]


def beside(results: str | Path) -> Path:
    """Where the outputs of a results file lie."""
    return Path(results).with_suffix(".outputs.npz")


def write_outputs(runs: Mapping[str, Arrays], results: str | Path) -> None:
    """Write the arrays of all runs of a results file."""
    named = {f"{key}/{name}": arrays[name] for key, arrays in runs.items() for name in ARRAYS}
    write_whole(beside(results), lambda file: np.savez(file, **named))  # type: ignore[arg-type]


def read_outputs(results: str | Path, key: str) -> Arrays | None:
    """The arrays of one run; None if there are none. Raises ResultsError for a damaged file."""
    path = beside(results)
    try:
        with path.open("rb") as file, np.load(file) as held:  # np.load leaves a damaged file open
            if f"{key}/rounds" not in held.files:
                return None
            return {name: held[f"{key}/{name}"] for name in ARRAYS}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as problem:
        raise ResultsError(f"{path} cannot be read as outputs ({problem}): delete it and run again") from None


def check_size(moments: int, devices: int, samples: int, outputs: int, itemsize: int) -> None:
    """Raises SpecError if the outputs of a run will not fit into this machine's memory."""
    needed = moments * devices * samples * outputs * itemsize
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if 2 * needed > there:
        raise SpecError(
            f"outputs of {devices:,} devices at {samples:,} samples in {moments:,} moments have {needed / 1e9:,.1f} GB,"
            f" and this machine has {there / 1e9:,.1f} GB: a larger evaluation.every, or fewer `samples` or"
            " evaluation.samples would do"
        )
