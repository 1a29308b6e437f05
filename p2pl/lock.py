"""A lock that goes with its process: the kernel lets go of it however the process ends, by `kill -9` too."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def hold(path: str | Path) -> bool:
    """Lock the file `path`, made if need be, until this process ends. False if another process holds it.

    Raises OSError on a file system that has no locks.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # left open; programs that are started do not inherit it
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    return True
