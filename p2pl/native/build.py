"""Compiles the C++ beside this file into one shared library with a C interface. No torch here.

The kernels are compiled once for each instruction set of the machine's kind and chosen when they are used, so that the
library runs on any machine of that kind. Its name holds a hash of sources and flags: a stale one is never loaded.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

FOLDER = Path(__file__).parent
FLAGS = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi"]
SETS: dict[str, list[str]] = {"portable": []}
if platform.machine().lower() in ("x86_64", "amd64"):
    FLAGS.append("-DP2PL_X86")
    wide = ["-mavx2", "-mfma", "-mbmi"]
    SETS |= {"avx2": [*wide, "-mtune=haswell"]}
    SETS |= {"avx512": [*wide, "-mavx512f", "-mprefer-vector-width=512", "-mtune=skylake-avx512"]}
UNITS: list[tuple[str, str | None]] = [(file, None) for file in ("api.cpp", "orders.cpp", "select.cpp")]
UNITS += [(file, name) for file in ("learn.cpp", "peak.cpp") for name in SETS]
UNITS += [("mix.cpp", name) for name in SETS if name != "avx512"]  # memory bounds it: longer vectors gain nothing


class BuildError(Exception):
    """The native engine cannot be compiled here."""


def sources() -> list[Path]:
    return sorted([*FOLDER.glob("*.cpp"), *FOLDER.glob("*.hpp")])


def library_name() -> str:
    content = b"\0".join(path.name.encode() + b"\0" + path.read_bytes() for path in sources())
    stamp = hashlib.sha256(content + f"{FLAGS} {SETS} {platform.machine()}".encode()).hexdigest()[:16]
    return f"p2pl-{stamp}.so"


def places() -> list[Path]:
    """Where a built library may lie: beside this file, or in the user's cache, in this order."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [folder / library_name() for folder in (FOLDER, cache / "p2pl")]


def built() -> Path | None:
    """The library of these very sources, if it has been built."""
    return next((path for path in places() if path.is_file()), None)


def compiler() -> str | None:
    """$CXX if it is set, else the first compiler of the usual names."""
    named = os.environ.get("CXX")
    return named or next((found for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), None)


def build(folder: Path | None = None) -> Path:
    """Compile, into `folder` or the first of `places` that can be written; the library's path.

    Raises BuildError if there is no compiler, or with the end of what it said.
    """
    chosen = compiler()
    if chosen is None:
        raise BuildError("there is no C++ compiler (set CXX to one); the torch engine works without it")
    with tempfile.TemporaryDirectory() as scratch:
        objects = [str(compiled(chosen, *unit, Path(scratch))) for unit in UNITS]
        made = Path(scratch) / library_name()
        run([*chosen.split(), "-shared", "-o", str(made), *objects])
        targets = places() if folder is None else [folder / library_name()]
        for number, target in enumerate(targets):
            try:
                install(made, target)
            except OSError:
                if number + 1 == len(targets):
                    raise
            else:
                remove_stale(target)
                return target
    raise AssertionError("there is always a last place")


def remove_stale(target: Path) -> None:
    """Remove libraries of other sources beside this file; a process that has one loaded keeps it.

    Those in the user's cache stay: they may belong to another installation.
    """
    if target.parent == FOLDER:
        for other in set(FOLDER.glob("p2pl-*.so")) - {target}:
            with suppress(PermissionError):
                other.unlink(missing_ok=True)


def compiled(chosen: str, file: str, name: str | None, scratch: Path) -> Path:
    """The object file of a source: of the kernels in it for one instruction set, if one is named."""
    target = scratch / f"{file}.{name}.o"
    kernels = [f"-DP2PL_SET={name}", *SETS[name]] if name else []
    run([*chosen.split(), *FLAGS, *kernels, "-c", str(FOLDER / file), "-o", str(target)])
    return target


def run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as problem:
        raise BuildError(f"{command[0]}: {problem.strerror}; the torch engine works without a compiler") from None
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-20:])
        raise BuildError(f"the compiler failed (exit code {done.returncode}): {' '.join(command)}\n{tail}")


def install(made: Path, target: Path) -> None:
    """Put the library in its place in one move: nobody ever loads half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    try:
        shutil.copy(made, name)
        Path(name).chmod(0o755)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
