"""Published archives: verified before they are read, downloaded only where there is none.

Archives are read in memory. Nothing is unpacked, so that many processes may load the same data at once, and what is
read is what was verified (torchvision reads unpacked files beside the archive without a check, and downloads over an
archive whose checksum is wrong).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import importlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from p2pl.registry import SpecError

SECONDS_WITHOUT_ANSWER = 30.0


def read_archives(
    folder: Path, published: dict[str, str], torchvision_class: str, inside: str = ""
) -> dict[str, bytes]:
    """The bytes of the files that `published` (name -> MD5) lists, from `folder`, each verified.

    Missing ones are downloaded by the torchvision data set of that name, which leaves them in its root under `inside`.
    Raises SpecError naming a damaged file, or saying what to put where if there is none and no download.
    """
    found = {name: _verified(folder / name, md5) for name, md5 in published.items() if (folder / name).exists()}
    missing = [name for name in published if name not in found]
    if missing:
        _download(folder, missing, torchvision_class, inside)
        found |= {name: _verified(folder / name, published[name]) for name in missing}
    return found


def _verified(path: Path, md5: str) -> bytes:
    content = path.read_bytes()
    seen = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if seen != md5:
        raise SpecError(
            f"{path} is damaged: its MD5 is {seen}, that of the published file is {md5}. "
            "Replace it, or delete it to have it downloaded"
        )
    return content


def _download(folder: Path, missing: list[str], torchvision_class: str, inside: str) -> None:
    """Download to a temporary folder, then put each file in place whole, so that other processes never see a part."""
    remedy = f"put {', '.join(missing)} into {folder.absolute()}, or set P2PL_DATA to the data folder that has them"
    downloader = getattr(_torchvision_datasets(remedy), torchvision_class)
    with tempfile.TemporaryDirectory(prefix="p2pl-download-") as scratch:
        try:
            with _timeout(), contextlib.redirect_stdout(sys.stderr):
                downloader(scratch, download=True)
        except (RuntimeError, OSError, http.client.HTTPException) as error:
            reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            raise SpecError(f"{torchvision_class} could not be downloaded ({reason[0]}): {remedy}") from error
        folder.mkdir(parents=True, exist_ok=True)
        for name in missing:
            partial = folder / f".{name}.{os.getpid()}"
            shutil.copyfile(Path(scratch) / inside / name, partial)
            partial.replace(folder / name)


def _torchvision_datasets(remedy: str) -> ModuleType:
    try:
        # Imported only here: it takes 1.5 s.
        return importlib.import_module("torchvision.datasets")
    except Exception as error:  # a torchvision built for another torch fails with RuntimeError, OSError, AttributeError
        raise SpecError(
            f"torchvision, which downloads this data set, does not import ({type(error).__name__}: {error}). "
            "A CPU-only torch beside the ordinary torchvision fails like this: install both from the same place, "
            f"such as `pip install --force-reinstall torch torchvision`. Or, without torchvision: {remedy}"
        ) from error


@contextlib.contextmanager
def _timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS_WITHOUT_ANSWER)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
