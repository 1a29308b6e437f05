"""Laws over every figure, drawn from made-up results that keep the contract of real ones (one run has diverged)."""

import importlib
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

import paper_figures
from p2pl import results, sweep, table_files
from paper_figures.__main__ import draw, save
from paper_figures.captions import among
from paper_figures.claims import CLAIMS
from paper_figures.claims_of_theory import THEORY
from paper_figures.claims_table import records, report, sources, tuned_to_edges
from paper_figures.style import paper, words
from theory.compare import MEASURES

REPOSITORY = Path(__file__).parent.parent
TABLE = table_files.read_table(REPOSITORY / "config" / "smoke.yaml")
TABLES = sweep.tables(sweep.index(TABLE))
FIGURES = paper_figures.needs()
DIVERGED = 3  # the round before which the last seed of each block's last cell ends
DATA = {"name": "digits", "source": "Made-up digits", "checksum": "0123456789abcdef"}


def made_up_cell(cell: sweep.Cell, path: Path, diverges: bool, predicted: bool) -> None:
    """A results file as `p2pl run` writes it for a cell, with accuracies that grow towards a level of its own.

    predicted: as `p2pl predict` does, a little lower.
    """
    rows, facts = [], made_up_facts(cell, diverges)
    level = 0.8 + 0.19 * int(cell.key[:4], 16) / 0xFFFF - 0.01 * predicted
    for seed in cell.seeds:
        experiment = cell.experiment.replace(seed=seed)
        rng = np.random.default_rng(seed)
        status = facts["status"][experiment.key]
        for number in range(DIVERGED if status != "finished" else min(experiment.rounds, 8) + 1):
            for phase in ("learn", "cooperate") if number else ("start",):
                mean = level * (1 - 0.9 * np.exp(-number / 2)) - 0.01 * rng.random()
                rows.append({
                    "run": experiment.key, "seed": seed, "round": number, "phase": phase, "status": status,
                    "accuracy_mean": mean, "accuracy_min": 0.95 * mean, "accuracy_of_average": mean,
                    "own_class_accuracy": mean, "other_class_accuracy": 0.5 * mean,
                    "accuracy_devices": [mean] * experiment.devices, "consensus_distance": 1.0, "loss_mean": 1 - mean,
                    "messages": 12 * number, "bytes_sent": 12_000 * number if experiment.uses_graph else 0,
                })  # fmt: skip
    table = results.table_of(rows)
    if predicted:
        table = table.append_column("source", pa.array(["theory"] * len(rows)))
    results.write(table, path, facts)


def made_up_errors(cell: sweep.Cell, path: Path, diverges: bool) -> None:
    """A file as `p2pl compare` writes it for a cell; the accuracy of its first seed is exact."""
    rows: list[dict[str, Any]] = []
    for seed in cell.seeds:
        some = np.random.default_rng([seed, int(cell.key, 16)]).uniform(0.01, 0.1, 6)
        rows.append({"run": cell.experiment.replace(seed=seed).key, "seed": seed})
        rows[-1] |= dict(zip((*MEASURES, "kernel_drift"), some.tolist(), strict=True)) | {"growth_onset_lr": None}
        rows[-1] |= {"test_accuracy": 0.0} if seed == cell.seeds[0] else {}
    results.write(pa.Table.from_pylist(rows), path, made_up_facts(cell, diverges))


def made_up_checks(cell: sweep.Cell, path: Path, diverges: bool) -> None:
    """A file as `p2pl compare` writes it for forecasts; the second target is reached by no forecast."""
    rows: list[dict[str, Any]] = []
    for seed in cell.seeds:
        gap, slem, rounds = np.random.default_rng([seed, int(cell.key, 16)]).uniform(0.1, 0.9, 3).tolist()
        run = cell.experiment.replace(seed=seed)
        place = {"run": run.key, "seed": seed, "accuracy": gap / 10, "slem": slem, "rounds": 20 * rounds}
        rows.append({**place, "target": run.evaluation.target, "rounds_forecast": 22 * rounds, "error": 0.1})
        rows.append({**place, "target": 0.99, "rounds_forecast": None, "error": math.inf})
    results.write(pa.Table.from_pylist(rows), path, made_up_facts(cell, diverges))


def made_up_onsets(cell: sweep.Cell, path: Path, diverges: bool) -> None:
    """A file as `p2pl onset` writes it for a cell; the run at the last share diverges."""
    rows: list[dict[str, Any]] = []
    for seed in cell.seeds:
        onset = np.random.default_rng([seed, int(cell.key, 16)]).uniform(1, 2)
        place = {"run": cell.experiment.replace(seed=seed).key, "seed": seed, "growth_onset_lr": onset}
        for share in cell.onset or [None]:
            grown = None if share is None else math.inf if share == cell.onset[-1] else share - 0.05 * onset
            rows.append(place | {"share": share, "lr": share and share * onset, "growth": grown})
    results.write(pa.Table.from_pylist(rows), path, made_up_facts(cell, diverges))


def made_up_facts(cell: sweep.Cell, diverges: bool) -> dict[str, Any]:
    """What a file's metadata say of the runs of a cell."""
    runs = [cell.experiment.replace(seed=seed) for seed in cell.seeds]
    status = dict.fromkeys((run.key for run in runs), "finished")
    if diverges:
        status[runs[-1].key] = f"diverged at round {DIVERGED}"
    return {"specs": {run.key: run.spec() for run in runs}, "status": status, "data": {"digits": DATA}}


def made_up_tables(folder: Path, table: dict[str, Any], diverging: bool) -> dict[str, Path]:
    """The collected tables of every experiment of a table."""
    found = {}
    for name, (kind, cells) in sweep.tables(sweep.index(table)).items():
        (folder / name).mkdir()
        for cell in cells:
            path, diverges = folder / name / f"{cell.key}.parquet", diverging and cell is cells[-1]
            if kind == "onsets":
                made_up_onsets(cell, path, diverges)
            elif kind.startswith("comparisons"):
                (made_up_checks if cell.forecast else made_up_errors)(cell, path, diverges)
            else:
                made_up_cell(cell, path, diverges, predicted=kind != "runs")
        found[name] = folder / f"{name}.parquet"
        results.collect(cells, folder / name, found[name])
    return found


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The collected table of every experiment of config/smoke.yaml."""
    return made_up_tables(tmp_path_factory.mktemp("results"), TABLE, diverging=True)


def needed(name: str, tables: dict[str, Path]) -> dict[str, Path]:
    return {block: tables[block] for block in FIGURES[name]}


@pytest.fixture(scope="module", params=FIGURES)
def drawn(request: pytest.FixtureRequest, tables: dict[str, Path]) -> tuple[str, Figure, str]:
    """Every figure with its name and caption."""
    loaded = {block: results.load(path) for block, path in needed(request.param, tables).items()}
    return request.param, *draw(request.param, loaded)


def test_figures_are_found_with_what_they_need() -> None:
    assert FIGURES
    assert all(set(tables) <= set(TABLES) for tables in FIGURES.values())
    for name, blocks in FIGURES.items():
        assert blocks == importlib.import_module(f"paper_figures.{name}").NEEDS


def test_no_figure_draws_what_was_not_measured(drawn: tuple[str, Figure, str]) -> None:
    _, figure, _ = drawn
    curves = [line for ax in figure.axes for line in ax.get_lines() if len(line.get_xdata()) > 1]
    assert curves
    for line in curves:
        assert np.isfinite(np.asarray(line.get_ydata(), dtype=float)).all()
        assert np.isfinite(np.asarray(line.get_xdata(), dtype=float)).all()
    bands = [band for ax in figure.axes for band in ax.collections if isinstance(band, PolyCollection)]
    assert all(np.isfinite(path.vertices).all() for band in bands for path in band.get_paths())


def test_no_text_is_cut_off(drawn: tuple[str, Figure, str]) -> None:
    _, figure, _ = drawn
    with paper():
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert min(box.x0, box.y0) >= 0
    assert box.x1 <= width
    assert box.y1 <= height


def test_captions_say_data_devices_seeds_band_and_what_diverged(drawn: tuple[str, Figure, str]) -> None:
    name, _, caption = drawn
    cells = [cell for table in FIGURES[name] for cell in TABLES[table][1]]
    devices, seeds = among(cell.experiment.devices for cell in cells), among(len(cell.seeds) for cell in cells)
    for said in ("Made-up digits", "0123456789ab", f"K = {devices} devices", f"n = {seeds} seeds", "95 % Student-t"):
        assert said in caption
    for table in FIGURES[name]:
        last = TABLES[table][1][-1]
        for word in (last.arm, *last.labels.values()):
            assert words(word) in caption.partition("Diverged: ")[2]
        assert f"seed {last.seeds[-1]}, diverged at round {DIVERGED}" in caption


@pytest.mark.parametrize("name", FIGURES)
def test_same_results_same_bytes(name: str, tables: dict[str, Path], tmp_path: Path) -> None:
    paths = needed(name, tables)
    save(*draw(name, {block: results.load(path) for block, path in paths.items()}), tmp_path / "here" / f"{name}.pdf")
    command = [sys.executable, "-m", "paper_figures", name, *map(str, paths.values()), "--out", f"there/{name}.pdf"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": "1"}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    for file in (f"{name}.pdf", f"{name}.png", f"{name}.rst"):
        assert (tmp_path / "here" / file).read_bytes() == (tmp_path / "there" / file).read_bytes()


def test_a_figure_that_does_not_say_what_it_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fig99_silent.py").write_text('"""Nothing."""\n', encoding="utf-8")
    monkeypatch.setattr(paper_figures, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"fig99_silent\.py does not say which experiments it NEEDS"):
        paper_figures.needs()


def test_the_forest_needs_the_experiments_of_all_claims_and_other_figures_those_of_predictions() -> None:
    predictions = {claim.experiment for claim in THEORY}
    assert set(FIGURES["fig13_claims"]) == {claim.experiment for claim in CLAIMS} - predictions
    drawing = ("fig15_prediction_errors", "fig16_prediction_settings", "fig18_forecast", "fig19_onset")
    assert {table for name in drawing for table in FIGURES[name]} - {"theory_onset_map.onset"} == predictions


@pytest.mark.parametrize("name", ["config", "paper"])
def test_every_claim_has_a_row_with_its_rule_and_a_computed_verdict(name: str, tmp_path: Path) -> None:
    """At the scales of config.yaml and paper.yaml all claims are run but those about other data."""
    table = table_files.read_table(REPOSITORY / "config" / f"{name}.yaml")
    for block in table["experiments"].values():
        block["seeds"] = block["seeds"][:2] if isinstance(block["seeds"], list) else 2
    tables = made_up_tables(tmp_path, table, diverging=False)
    loaded = {block: results.load(path) for block, path in tables.items()}
    text = report(sources(loaded), records(loaded), tuned_to_edges(loaded))
    rows = [line for line in text.splitlines() if line.endswith("** |")]
    assert len(rows) == len(CLAIMS)
    for claim, row in zip(CLAIMS, rows, strict=True):
        assert claim.says in row
        assert str(claim.holds_if) in row
        verdicts = ("not run",) if claim.on else ("holds", "does not hold", "undecided")
        assert any(row.endswith(f"**{verdict}** |") for verdict in verdicts)
    assert "Made-up digits (SHA-256 0123456789ab…)" in text
