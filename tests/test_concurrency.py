"""Nothing is lost: two at once do no harm to each other; what is killed goes on, to the bytes of an undisturbed run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pipeline import checkout, files, jobs, script, start

from p2pl.lock import hold

MAKE = ("make", "-o", ".venv/.ready", "figures", "CONFIG=tiny.yaml", "CORES=1")  # in the environment of the tests


def test_a_lock_is_held_by_one_and_goes_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    code = f"from p2pl.lock import hold; print(hold({str(path)!r}), hold({str(path)!r}), flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True False\n"
        assert not hold(path)
        other.kill()
    assert hold(path)


def test_of_two_at_once_one_is_refused_and_the_other_is_whole(finished: Path, tmp_path: Path) -> None:
    checkout(tmp_path / "two")
    command = ("snakemake", "--configfile", "tiny.yaml", "--cores", "1", "results/tiny/tables/topologies.parquet")
    both = [start(tmp_path / "two", *command) for _ in range(2)]
    said = {process.communicate()[0]: process.returncode for process in both}
    refused, whole = sorted(said, key=said.__getitem__, reverse=True)
    assert (said[refused], said[whole]) == (1, 0), refused + whole
    assert "Directory cannot be locked: another Snakemake makes results/tiny." in refused
    lone = {name: content for name, content in files(finished).items() if name.startswith(("data", "runs", "tables"))}
    assert files(tmp_path / "two") == lone


def kill(process: subprocess.Popen[str], now: Callable[[], bool]) -> str:
    """Kill a process and all that it has started as soon as `now`. Returns what they said until then."""
    while not now():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[0]


def test_killed_and_made_again_it_ends_with_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    """Those of an undisturbed run on two cores, though this one has one core. How runs go on: test_interruption.py."""
    root = tmp_path / "killed"
    checkout(root)
    runs, tables = root / "results/tiny/runs", root / "results/tiny/tables"

    def under_way() -> list[Path]:
        return [path for path in runs.glob(".*.checkpoint") if not (runs / f"{path.name[1:13]}.parquet").exists()]

    kill(start(root, *MAKE), lambda: any(runs.glob("*.parquet")) and bool(under_way()))
    (kept,), checkpoints = runs.glob("*.parquet"), under_way()
    made = kept.stat().st_mtime_ns
    assert len(checkpoints) == 1

    said = kill(start(root, *MAKE), lambda: (tables / "topologies.json").exists())
    assert jobs(said)["simulate"] == 1
    assert not (tables / "topologies.parquet").exists()

    process = start(root, *MAKE)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert jobs(said) == {"collect": 1, "figure": 1, "claims": 1, "all": 1}
    assert kept.stat().st_mtime_ns == made
    assert files(root) == files(finished)


PYTHON = """
test "$1" = -c && exec {python} "$@"
echo "$@" >> asked
mkdir -p .venv/bin && cp "$0" .venv/bin/python
sleep 0.2
"""


def test_the_environment_is_built_once_and_anew_if_that_was_killed(tmp_path: Path) -> None:
    """With a `python` that only says what it is asked for."""
    checkout(tmp_path / "new")
    script(tmp_path / "new" / "bin" / "python3", PYTHON.format(python=sys.executable))
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / "new" / name).touch()
    command, asked = ("make", ".venv/.ready", "PYTHON=bin/python3"), tmp_path / "new" / "asked"
    kill(start(tmp_path / "new", *command), lambda: asked.exists() and "-m pip" in asked.read_text())
    asked.unlink()
    both = [start(tmp_path / "new", *command) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    environment, packages, ours = asked.read_text().splitlines()
    assert environment == "-m venv --clear .venv"
    assert ("-r requirements.lock" in packages, "--editable ." in ours) == (True, True)
