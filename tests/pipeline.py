"""A copy of the repository with a table of two short runs, the least that every rule has something to do for."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
TABLE = """
pathvars: {results: results/tiny}
defaults: {dataset: digits, devices: 3, samples: 60, model: {name: mlp, hidden: [4]}, rounds: 400, checkpoint_every: 20,
           evaluation: {every: 50}}
experiments:
  topologies:
    asks: Does it run?
    arms: {ring: {topology: ring}, star: {topology: star}}
    seeds: 1
"""
NOTHING = "Nothing to be done (all requested files are present and up to date)."


def checkout(root: Path) -> None:
    """Copy what the pipeline needs to `root`, with the table, and programs as in the environment but of the copy."""
    for name in ("p2pl", "paper_figures", "theory", "config", "profiles"):
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "Makefile"):
        shutil.copy(REPOSITORY / name, root)
    (root / "tiny.yaml").write_text(TABLE, encoding="utf-8")
    for name, module in (("p2pl", "-m p2pl.cli"), ("python", ""), ("snakemake", "-m snakemake")):
        script(root / "bin" / name, f'exec {sys.executable} {module} "$@"')


def script(path: Path, lines: str) -> None:
    """Write an executable shell script."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
    path.chmod(0o755)


def start(root: Path, *command: str) -> subprocess.Popen[str]:
    """Start a command in the copy, as a process group of its own; what it says comes through one pipe."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment |= {"PYTHONPATH": str(root), "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=root, env=environment, text=True, start_new_session=True, **out)


def snakemake(root: Path, *arguments: str) -> str:
    """What `snakemake` says about the tiny table."""
    process = start(root, "snakemake", "--configfile", "tiny.yaml", *arguments)
    said, _ = process.communicate()
    logs = "".join(path.read_text(encoding="utf-8") for path in root.glob("results/tiny/logs/**/*.log"))
    assert process.returncode == 0, said + logs
    return said


def jobs(said: str) -> Counter[str]:
    """How many jobs of each rule were executed, or would be."""
    return Counter(re.findall(r"^(?:local)?rule (\w+):$", said, re.MULTILINE))


def files(root: Path) -> dict[str, bytes]:
    """The results, without the logs and the report, which say when they were made."""
    results = root / "results" / "tiny"
    kept = (path for path in results.rglob("*") if path.is_file() and "logs" not in path.parts)
    return {str(path.relative_to(results)): path.read_bytes() for path in kept if path.name != "report.html"}
