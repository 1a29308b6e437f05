"""Which edits change which fingerprints. Each case edits a copy of the package and asks a fresh process."""

import cProfile
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from p2pl import fingerprint, sweep
from p2pl.registry import FAMILIES

REPOSITORY = Path(__file__).parent.parent
ASK = """
import json
from p2pl import fingerprint
from p2pl.experiment import Experiment
specs = {"ring": {"topology": "ring"}, "path": {"topology": "path"}, "links": {"failures": "links"}}
found = {name: fingerprint.of_experiment(Experiment.of(spec)) for name, spec in specs.items()}
print(json.dumps(found | {"figure": fingerprint.of_figure("fig01_topologies")}))
"""
FIGURE = "paper_figures/fig01_topologies.py"
RUNS = {"ring", "path", "links"}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("copy")
    for package in ("p2pl", "paper_figures"):
        shutil.copytree(REPOSITORY / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def fingerprints(root: Path) -> dict[str, str]:
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    answer = subprocess.run([sys.executable, "-c", ASK], cwd=root, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return dict(json.loads(answer.stdout))


@pytest.fixture(scope="module")
def before(original: Path) -> dict[str, str]:
    return fingerprints(original)


def logic(code: str, function: str) -> str:
    """The code with one more statement at the start of a function's body, after its docstring."""
    head, tail = code.split(f"def {function}(", 1)
    body = tail.index('"""', tail.index('"""') + 3) + 3
    return f"{head}def {function}({tail[:body]}\n    extra = 1{tail[body:]}"


CASES = {
    "comments": ("p2pl/engine.py", lambda code: code.replace("def unfold", "# Look here.\n\n\ndef unfold"), set()),
    "docstrings": ("p2pl/engine.py", lambda code: code.replace('"""', '"""Once more: ', 1), set()),
    "the loop": (
        "p2pl/engine.py",
        lambda code: code.replace("def unfold", "LIMIT = 3\n\n\ndef unfold"),
        RUNS,
    ),
    "what it imports": ("p2pl/metrics.py", lambda code: code + "\nEXTRA = 1\n", RUNS),
    "a kernel": ("p2pl/native/forward.hpp", lambda code: code + "// more\n", RUNS),
    "the commands": ("p2pl/cli.py", lambda code: code + "\nEXTRA = 1\n", set()),
    "another file": ("p2pl/topologies/wheel_.py", lambda code: "from p2pl.registry import topology\n", set()),
    "a figure": ("paper_figures/fig01_topologies.py", lambda code: code + "\nEXTRA = 1\n", {"figure"}),
    "a caption": (
        "paper_figures/fig01_topologies.py",
        lambda code: code.replace('"""', '"""In short: ', 1),
        {"figure"},
    ),
    "the style": ("paper_figures/paper.mplstyle", lambda code: code + "lines.linewidth: 2\n", {"figure"}),
    "statistics": ("p2pl/stats.py", lambda code: code + "\nEXTRA = 1\n", {"figure"}),
    "ring": ("p2pl/topologies/regular.py", lambda code: logic(code, "ring"), {"ring", "links"}),
    "path": ("p2pl/topologies/irregular.py", lambda code: logic(code, "path"), {"path"}),
    "links": ("p2pl/failures/losses.py", lambda code: logic(code, "link_drops"), {"links"}),
    "a sibling": ("p2pl/failures/losses.py", lambda code: logic(code, "bursts"), set()),
    "a helper": ("p2pl/failures/losses.py", lambda code: logic(code, "pairs_of"), {"links"}),
}


@pytest.mark.parametrize("what", CASES)
def test_an_edit_changes_what_it_touches(what: str, original: Path, before: dict[str, str], tmp_path: Path) -> None:
    file, edit, touched = CASES[what]
    for package in ("p2pl", "paper_figures"):
        shutil.copytree(original / package, tmp_path / package)
    path = tmp_path / file
    code = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(edit(code), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != code
    after = fingerprints(tmp_path)
    assert {name for name in before if after[name] != before[name]} == touched


def test_every_component_has_a_fingerprint_of_its_own() -> None:
    found = [fingerprint.of_component(family, name) for family in FAMILIES for name in family.entries]
    assert len(set(found)) == len(found)


def table_of(cells: int) -> dict[str, Any]:
    """A table of one block with so many cells of five seeds each."""
    values = [0.001 * (1 + i) for i in range(cells // 4)]
    arms = {"ring": {"topology": "ring"}, "star": {"topology": "star"}}
    grid = {"training.lr": values, "failures": ["none", "bursts"]}
    return {"experiments": {"many": {"asks": "How long does it take?", "arms": arms, "grid": grid, "seeds": 5}}}


def calls_to_plan(table: dict[str, Any]) -> int:
    """How many function calls the Snakefile makes to know a table's jobs: an exact measure of work, unlike seconds."""
    with cProfile.Profile() as profile:
        cells = {cell.key: cell for cell in sweep.index(table)["many"]}
        jobs = [(cell.spec, fingerprint.of_experiment(cell.experiment)) for cell in cells.values()]
    assert len(jobs) == len(sweep.index(table)["many"])
    return int(sum(line.callcount for line in profile.getstats()))


def test_a_table_of_thousands_of_runs_costs_each_component_once_and_each_cell_little() -> None:
    caches = (fingerprint.of_component, fingerprint.of_files)
    for cache in caches:
        cache.cache_clear()
    experiments = [cell.experiment for cell in sweep.index(table_of(400))["many"]]
    assert 5 * len(experiments) == 2000
    calls_to_plan(table_of(400))
    components = {(family.kind, one.name) for experiment in experiments for family, one in experiment.components}
    assert [cache.cache_info().misses for cache in caches] == [len(components), 1]

    few, many = calls_to_plan(table_of(40)), calls_to_plan(table_of(400))
    assert many < 10.5 * few
    assert many < 10_000 * 400  # a second or so
