"""What a device has sent."""

from __future__ import annotations

import pandas as pd

from p2pl.experiment import Experiment


def with_megabytes(table: pd.DataFrame) -> pd.DataFrame:
    """The table, with a column `megabytes`: what a device had sent by then, the mean over the devices of the run."""
    devices = {run: Experiment.of(spec).devices for run, spec in table.attrs["specs"].items()}
    return table.assign(megabytes=table["bytes_sent"] / table["run"].map(devices) / 1e6)
