"""Which edits change which fingerprints. Each case edits a copy of the package and asks a fresh process."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from p2pl import fingerprint
from p2pl.experiment import Experiment
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


def test_thousands_of_experiments_cost_no_time() -> None:
    experiments = [Experiment(training={"lr": 0.01 * (1 + i)}) for i in range(50)]
    fingerprint.of_experiment(experiments[0])
    start = time.perf_counter()
    for experiment in experiments * 40:
        fingerprint.of_experiment(experiment)
    assert time.perf_counter() - start < 0.5
