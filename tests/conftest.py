"""One finished run of the pipeline for all the tests that begin with one."""

import ctypes
import fcntl
import shutil
import sys
from pathlib import Path

import pytest
from pipeline import checkout, snakemake

from p2pl.native import build
from p2pl.native.library import Library, supported

collect_ignore = [] if sys.platform == "linux" else ["test_warm.py"]  # elsewhere no process is kept warm


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A copy of the repository in which the tiny table has been run: one for all processes of the tests, read only."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "finished").exists():
            checkout(own / "unfinished")
            snakemake(own / "unfinished", "--cores", "2")
            (own / "unfinished").rename(shared / "finished")
    return shared / "finished"


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished repository that a test may edit; times of files are kept."""
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The native engine's library, compiled once for all processes of the tests."""
    if build.compiler() is None:
        pytest.skip("there is no C++ compiler here: the native engine is not tested")
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    with (shared / "native.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = shared / "native" / build.library_name()
        return path if path.exists() else build.build(path.parent)


@pytest.fixture(scope="session")
def libraries(native: Path) -> list[Library]:
    """The library with each instruction set that this machine has."""
    handle = ctypes.CDLL(str(native))
    return [Library(handle, name) for name in supported(handle)]
