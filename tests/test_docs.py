"""What the documents tell a reader to write does what they say."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from p2pl.effects import Measured
from p2pl.verdicts import decide
from paper_figures.claims import SECTIONS
from paper_figures.claims_table import record, report

ROOT = Path(__file__).parent.parent
RUNS = {
    "wheel": ["graph", "wheel", "--devices", "12", "--json"],
    "lazy_p2pl": ["run", "{algorithm: lazy_p2pl, dataset: digits, rounds: 1}", "--out", "r.parquet"],
    "bottleneck": ["run", "{model: bottleneck, dataset: digits, rounds: 1}", "--out", "r.parquet"],
    "halves": [
        "run",
        "{compression: left_half, algorithm: choco_sgd, mixing: metropolis, dataset: digits, rounds: 1}",
        *("--out", "r.parquet"),
    ],
    "stripes": ["run", "{dataset: stripes, rounds: 1, mixing: metropolis}", "--out", "r.parquet"],
}


def recipes():
    """The files that README.md and docs/adding.md tell to write: their paths and contents."""
    pages = (ROOT / "README.md").read_text() + (ROOT / "docs/adding.md").read_text()
    blocks = re.findall(r"```python\n# (p2pl/\S+\.py)\n(.*?)```", pages, re.DOTALL)
    return {Path(path).stem: (path, code) for path, code in blocks}


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_works_in_a_file_of_its_own(name, tmp_path):
    path, code = recipes()[name]
    shutil.copytree(ROOT / "p2pl", tmp_path / "p2pl", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / path).write_text(code)
    command = [sys.executable, "-m", "p2pl.cli", *RUNS[name]]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


EVIDENCE = json.loads((ROOT / "docs/claims.json").read_text())


def test_the_headlines_of_the_readme_are_what_the_results_say():
    known = {row["says"]: (row["effect"], row["verdict"]) for row in EVIDENCE["claims"]}
    rows = re.findall(r"^\| (.+?) \| (.+?) \| \*\*(.+?)\*\* \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(rows) >= 6
    assert {says: (effect, verdict) for says, effect, verdict in rows}.items() <= known.items()


def test_the_verdicts_follow_by_the_rules_from_the_values_of_each_seed():
    sections = {claim.name: (section, claim) for section, claims in SECTIONS.items() for claim in claims}
    assert [row["name"] for row in EVIDENCE["claims"]] == list(sections)
    decided = 0
    for row in EVIDENCE["claims"]:
        section, claim = sections[row["name"]]
        measured = Measured(pd.Series(row["values"], dtype=float), pd.Series(row["bound"], dtype=float), row["unknown"])
        if not row["values"]:
            assert row["verdict"] in ("not run", "undecided")
            continue
        decided += 1
        assert record(section, decide(claim, measured), row["experiment"].partition(": ")[2]) == row
    assert decided > 60
    assert (ROOT / "docs/claims.md").read_text() == report(EVIDENCE["data"], EVIDENCE["claims"], EVIDENCE["edges"])


def test_the_results_page_names_every_column():
    from p2pl.results import COLUMNS

    text = (ROOT / "docs/results.md").read_text()
    assert [column for column in COLUMNS if f"`{column}`" not in text] == []


def test_every_place_that_a_document_points_to_exists():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "config/README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} points to {target}"
