"""Results as tidy parquet files: one row for each run, round and phase. They appear whole or not at all.

The columns are COLUMNS. The file's metadata (`p2pl`) holds, as JSON, the spec, the final status and the engine of every
run and the name, source and checksum of the data. Nothing in a file depends on when or how fast it was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from p2pl.atomic import write_whole
from p2pl.registry import SpecError

if TYPE_CHECKING:
    import pandas as pd  # a second of every run's start, for those who only write

    from p2pl.sweep import Cell

NUMBER, NUMBERS, WHOLE, WORD = pa.float64(), pa.list_(pa.float64()), pa.int64(), pa.string()
COLUMNS: dict[str, pa.DataType] = {
    "run": WORD,
    "seed": WHOLE,
    "round": WHOLE,
    "phase": WORD,
    "accuracy_mean": NUMBER,
    "accuracy_min": NUMBER,
    "accuracy_of_average": NUMBER,
    "accuracy_devices": NUMBERS,
    "loss_mean": NUMBER,
    "loss_max": NUMBER,
    "loss_of_average": NUMBER,
    "loss_devices": NUMBERS,
    "own_class_accuracy": NUMBER,
    "other_class_accuracy": NUMBER,
    "consensus_distance": NUMBER,
    "distance_to_optimum": NUMBER,
    "distance_to_optimum_of_average": NUMBER,
    "messages": WHOLE,
    "bytes_sent": WHOLE,
    "status": WORD,
}
KEY = b"p2pl"


class Facts(dict[str, Any]):
    """An object of the metadata, to be read: pandas copies all that is in `attrs` with each frame made of another."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Facts:
        return self


class ResultsError(SpecError):
    """A results file that is missing, damaged, or not what it should be."""


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows of results, typed; None is null, and a NaN is refused (ValueError): it would pass for a measurement."""
    for row in rows:
        for name, value in row.items():
            if isinstance(value, float) and value != value:
                raise ValueError(f"round {row.get('round')}: {name} is not a number")
    return pa.Table.from_pylist(list(rows), schema=pa.schema(list(COLUMNS.items())))


def write(table: pa.Table, path: str | Path, facts: Mapping[str, Any]) -> None:
    """Write a table and its facts (JSON-able), whole or not at all."""
    table = table.replace_schema_metadata({KEY: json.dumps(facts, sort_keys=True).encode()})
    write_whole(path, lambda file: pq.write_table(table, file))


def read(path: str | Path) -> tuple[pa.Table, dict[str, Any]]:
    """A table and its facts. Raises ResultsError naming the file if it is missing, damaged, or of another kind."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise ResultsError(f"there is no results file {path}: run the experiment first") from None
    except (pa.ArrowInvalid, OSError) as problem:
        raise ResultsError(f"{path} cannot be read as results ({problem}): delete it and run again") from None
    facts = (table.schema.metadata or {}).get(KEY)
    if facts is None:
        raise ResultsError(f"{path} was not written by p2pl: it has no '{KEY.decode()}' metadata")
    return table, json.loads(facts, object_hook=Facts)


def load(path: str | Path) -> pd.DataFrame:
    """A results file as a data frame, with the facts in `frame.attrs`. Raises ResultsError as `read` does."""
    table, facts = read(path)
    frame: pd.DataFrame = table.to_pandas()
    frame.attrs.update(facts)
    return frame


def collect(cells: Iterable[Cell], folder: str | Path, path: str | Path) -> None:
    """One table from the files `<key>.parquet` of the cells of a block, with the columns that tell them apart.

    Raises ResultsError for a file that is missing, unreadable, or lacks one of its cell's seeds: nothing is averaged
    over what is not there.
    """
    tables: list[pa.Table] = []
    facts: dict[str, Any] = {"specs": {}, "status": {}, "engines": {}, "data": {}, "cells": []}
    for cell in cells:
        source = Path(folder) / f"{cell.key}.parquet"
        table, known = read(source)
        missing = set(cell.seeds) - set(table["seed"].to_pylist())
        if missing:
            raise ResultsError(f"{source} has no rows for seed {sorted(missing)}: delete it and run again")
        for name, value in cell.columns.items():
            table = table.append_column(name, pa.array([value] * len(table)))
        tables.append(table)
        for part in ("specs", "status", "engines", "data"):
            facts[part] |= known.get(part, {})  # files of before the engines have none
        facts["cells"].append({"key": cell.key, "seeds": list(cell.seeds), **cell.columns})
    write(pa.concat_tables(tables, promote_options="permissive"), path, facts)
