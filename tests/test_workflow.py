"""The pipeline in a copy of the repository: complete, idle when nothing has changed, and awake when logic has."""

import json
import shutil
from pathlib import Path

import pytest
from pipeline import NOTHING, REPOSITORY, files, jobs, snakemake

from p2pl.results import load
from p2pl.sweep import index
from p2pl.table_files import read_table


def test_everything_is_there_and_then_nothing_is_to_be_done(copy: Path) -> None:
    keys = [cell.key for cell in index(read_table(copy / "tiny.yaml"))["topologies"]]
    figures = {f"figures/fig01_topologies.{suffix}" for suffix in ("pdf", "png", "rst")}
    tables = {f"tables/topologies.{suffix}" for suffix in ("parquet", "json")}
    others = {"data/digits.json", "claims.md", "claims.json"}
    assert set(files(copy)) == others | {f"runs/{key}.parquet" for key in keys} | tables | figures
    said = snakemake(copy, "--cores", "1", "--report", "report.html", "--report-after-run")
    assert NOTHING in said
    assert "Student-t intervals" in (copy / "report.html").read_text(encoding="utf-8")


TUNED = """
  rates:
    asks: Which learning rate is best?
    base: {rounds: 40}
    arms: {ring: {topology: ring}}
    grid: {training.lr: [0.00001, 0.1]}
    seeds: [9]
  compared:
    asks: Does each arm take its own?
    base: {rounds: 2}
    arms: {ring: {topology: ring}}
    tuned: rates
    seeds: 1
"""


def test_a_tuned_arm_takes_what_was_best_for_it(copy: Path) -> None:
    with (copy / "tiny.yaml").open("a") as file:
        file.write(TUNED)
    snakemake(copy, "--cores", "2", "results/tiny/tables/compared.parquet")
    chosen = json.loads((copy / "results/tiny/tuned/rates.json").read_text())["ring"]["chosen"]
    specs = load(copy / "results/tiny/tables/compared.parquet").attrs["specs"].values()
    assert [spec["training"]["lr"] for spec in specs] == [chosen["training.lr"]] == [0.1]


def edit(path: Path, old: str, new: str) -> None:
    code = path.read_text(encoding="utf-8")
    assert old in code
    path.write_text(code.replace(old, new, 1), encoding="utf-8")


def test_comments_and_additions_rerun_nothing(copy: Path) -> None:
    edit(copy / "p2pl" / "engine.py", "def unfold", "# A comment.\ndef unfold")
    wheel = copy / "p2pl" / "topologies" / "wheel_of_mine.py"
    wheel.write_text(
        "import networkx as nx\n\nfrom p2pl.registry import topology\n\n\n"
        "@topology\ndef wheel_of_mine(devices: int) -> nx.Graph:\n"
        "    '''A hub joined to a cycle.'''\n    return nx.wheel_graph(devices)\n",
        encoding="utf-8",
    )
    edit(copy / "tiny.yaml", "asks: Does it run?", "asks: Does it still run?")
    said = snakemake(copy, "--dry-run")
    assert NOTHING in said
    assert not jobs(said)


def test_logic_reruns_what_it_touches(copy: Path) -> None:
    edit(copy / "p2pl" / "topologies" / "irregular.py", "def star(", "def star(  # hub\n")
    assert NOTHING in snakemake(copy, "--dry-run")
    edit(copy / "p2pl" / "topologies" / "irregular.py", "hub: Natural = 0", "hub: Natural = 1")
    assert jobs(snakemake(copy, "--dry-run")) == {"simulate": 1, "collect": 1, "figure": 1, "claims": 1, "all": 1}
    edit(copy / "p2pl" / "engine.py", "def unfold", "LIMIT = 1\n\n\ndef unfold")
    assert jobs(snakemake(copy, "--dry-run")) == {"simulate": 2, "collect": 1, "figure": 1, "claims": 1, "all": 1}


def test_a_figure_is_redrawn_when_it_changes_and_added_as_one_file(copy: Path) -> None:
    figure = copy / "paper_figures" / "fig01_topologies.py"
    shutil.copy(figure, figure.with_name("fig98_again.py"))
    assert jobs(snakemake(copy, "--dry-run")) == {"figure": 1, "all": 1}
    edit(figure, "def draw(", "LIMIT = 1\n\n\ndef draw(")
    assert jobs(snakemake(copy, "--dry-run")) == {"figure": 2, "all": 1}


def test_labels_are_part_of_a_table(copy: Path) -> None:
    edit(copy / "tiny.yaml", "ring: {", "cycle: {")
    assert jobs(snakemake(copy, "--dry-run")) == {"collect": 1, "figure": 1, "claims": 1, "all": 1}


@pytest.mark.parametrize("name", ["config", "paper", "smoke"])
def test_the_tables_of_all_scales_have_the_same_experiments(name: str) -> None:
    table = read_table(REPOSITORY / "config" / f"{name}.yaml")
    reference = read_table(REPOSITORY / "config" / "config.yaml")
    assert list(index(table)) == list(reference["experiments"])
    for block, entry in table["experiments"].items():
        assert entry["asks"] == reference["experiments"][block]["asks"]
        assert list(entry.get("arms") or {}) == list(reference["experiments"][block].get("arms") or {})
        assert list(entry.get("grid") or {}) == list(reference["experiments"][block].get("grid") or {})


def test_a_wrong_key_or_name_is_said_before_anything_runs(copy: Path) -> None:
    for old, new, said in (
        ("arms:", "arm:", "'arm' was unexpected"),
        ("topology: star", "topology: stra", "did you mean 'star'"),
    ):
        table = (copy / "tiny.yaml").read_text(encoding="utf-8")
        edit(copy / "tiny.yaml", old, new)
        with pytest.raises(AssertionError, match=said):
            snakemake(copy, "--dry-run")
        (copy / "tiny.yaml").write_text(table, encoding="utf-8")
