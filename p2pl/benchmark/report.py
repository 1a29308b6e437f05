"""A benchmark's outcome as tables for a reader."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

# column -> heading and how its values are written
ENGINES = {
    "engine": ("engine", "{}"),
    "inputs": ("inputs", "{}"),
    "us_per_device_step": ("us/step", "{:.1f}"),
    "ratio_to_plain_loop": ("x loop", "{:.2f}"),
    "device_steps_per_second": ("steps/s", "{:,.0f}"),
    "percent_of_fma_peak": ("% peak", "{:.0f}"),
    "round_us_per_device_step": ("and mixing", "{:.1f}"),
    "round_ratio_to_plain_loop": ("x loop", "{:.2f}"),
    "memory_mb": ("MB more", "{:.0f}"),
    "memory_over_parameters": ("in KxP", "{:.1f}"),
}
MIXING = {
    "engine": ("engine", "{}"),
    "graph": ("mixing on", "{}"),
    "degree": ("neighbours", "{}"),
    "ms": ("ms", "{:.2f}"),
    "percent_of_copy": ("% of copy", "{:.0f}"),
}
ROUNDS = {
    "engine": ("engine", "{}"),
    "inputs": ("inputs", "{}"),
    "ms": ("ms/round", "{:.0f}"),
    "ratio_to_plain_loop": ("x loop", "{:.2f}"),
    "learning_percent": ("% learn", "{:.1f}"),
    "mixing_percent": ("% mix", "{:.1f}"),
    "evaluation_percent": ("% eval", "{:.1f}"),
    "evaluations": ("evals", "{:g}"),
}
MISSING = {"engine": ("not timed", "{}"), "why": ("because", "{}")}


def show(outcome: dict[str, Any], console: Console) -> None:
    """Tables of everything, with a line on the job and the machine."""
    job, machine = outcome["job"], outcome["machine"]
    widths = "-".join(str(width) for width in job["hidden"])
    console.print(
        f"{job['devices']} devices, hidden {widths} (P = {job['parameters']:,}), batch {job['batch']},"
        f" {job['samples']} samples each: {job['flops_per_device_step'] / 1e6:.2f} MFLOP a device-step\n"
        f"{machine['processor']}, 1 of {machine['cores']} cores, torch {machine['torch']}:"
        f" peak {machine['fma_peak_gflops']:.0f} GFLOP/s ({machine['fma_peak_by']}),"
        f" copy {machine['copy_gb_per_second']:.0f} GB/s\nus of CPU per device-step (step); x: times as fast as the"
        f" plain loop; MB beyond data and parameters for {job['memory_devices']} devices, also in K x P floats",
        highlight=False,
    )
    sections = (
        ("engines", ENGINES),
        ("mixing", MIXING),
        ("rounds", ROUNDS),
        ("missing", MISSING),
    )
    for name, columns in sections:
        if outcome[name]:
            console.print(table(outcome[name], columns), "")
    console.print(growth(outcome["growth"]), "")
    differing = {row["engine"]: row["differs"] for row in outcome["engines"] if row["differs"]}
    for name, differs in differing.items():
        console.print(f"{name}: {differs}", highlight=False)


def table(rows: Iterable[dict[str, Any]], columns: dict[str, tuple[str, str]]) -> Table:
    shown = Table(box=None, pad_edge=False)
    for heading, form in columns.values():
        shown.add_column(heading, justify="left" if form == "{}" else "right")
    for row in rows:
        cells = ((row[name], form) for name, (_, form) in columns.items())
        shown.add_row(*("-" if value is None else form.format(value) for value, form in cells))
    return shown


def growth(rows: list[dict[str, Any]]) -> Table:
    """Microseconds a device-step, one line a size, one column an engine; in brackets times as fast as the loop."""
    engines = list(dict.fromkeys(row["engine"] for row in rows))
    shown = Table(box=None, pad_edge=False)
    shown.add_column("us/step by")
    for heading in ("", "P", *engines):
        shown.add_column(heading, justify="right")
    for by, value, parameters in dict.fromkeys((row["by"], row["value"], row["parameters"]) for row in rows):
        cells = {row["engine"]: cell(row) for row in rows if (row["by"], row["value"]) == (by, value)}
        shown.add_row(by, str(value), f"{parameters:,}", *(cells[engine] for engine in engines))
    return shown


def cell(row: dict[str, Any]) -> str:
    ratio = row["ratio_to_plain_loop"]
    return f"{row['us_per_device_step']:.0f}" + ("" if ratio is None else f" ({ratio:.1f}x)")
