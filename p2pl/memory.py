"""New memory for (K, P) tensors, and whether there is enough of it.

NumPy asks the system for huge pages where torch does not: a copy takes a third. And memory that is given back to the
system is cleared before it comes again, which costs as much as a copy: the last large pieces are kept for the next.
"""

from __future__ import annotations

import os
import weakref
from collections import deque
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from p2pl.registry import SpecError

PASSING = 3  # tensors of K x P numbers: new parameters and velocities while devices learn, and what mixing adds up
LARGE = 2**21  # bytes of a huge page
_free: deque[np.ndarray] = deque(maxlen=3)  # large pieces that nobody uses any more
GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def empty_like(x: Tensor) -> Tensor:
    """An uninitialized, contiguous tensor of x's shape and type."""
    size = x.numel() * x.element_size()
    if size < LARGE or x.device.type != "cpu":
        return torch.empty_like(x, memory_format=torch.contiguous_format)
    kind = x[:0].numpy().dtype
    memory = _free_piece(size)
    if memory is None:
        memory = np.empty(size, dtype=np.uint8)
    used = memory.view(kind).reshape(x.shape)
    weakref.finalize(used, _free.append, memory).atexit = False  # when the tensor and all its views are gone
    return torch.from_numpy(used)


def _free_piece(size: int) -> np.ndarray | None:
    """A piece of that size, if one is free; if not, those of other sizes have served their time."""
    for number, memory in enumerate(_free):
        if memory.size == size:
            del _free[number]
            return memory
    _free.clear()
    return None


def copy_of(x: Tensor) -> Tensor:
    """A contiguous copy."""
    return empty_like(x).copy_(x)


def address(array: np.ndarray | Tensor | None) -> int | None:
    """Where its numbers begin, for libraries in other languages; None for None."""
    if array is None:
        return None
    return array.data_ptr() if isinstance(array, Tensor) else int(array.ctypes.data)


def check_room(
    devices: int, parameters: int, tensors: int, data: int, dtype: torch.dtype, device: torch.device
) -> None:
    """Raises SpecError, before anything is drawn, if models and data will not fit into the memory that there is.

    tensors: how many of (devices, parameters) the algorithm's state has. data: how many numbers the inputs of all
    samples have.
    """
    needed = ((PASSING + tensors) * devices * parameters + data) * dtype.itemsize
    there, where = room(device)
    if needed > there:
        raise SpecError(
            f"{devices:,} devices of {parameters:,} parameters need some {needed / 1e9:,.1f} GB, and {where} has"
            f" {there / 1e9:,.1f} GB: fewer devices or a smaller model would do"
        )


def room(device: torch.device) -> tuple[int, str]:
    """Bytes of memory that a run may take, and whose they are: what is free of an accelerator's, all of a machine's."""
    if device.type != "cpu":
        return torch.cuda.mem_get_info(device)[0], f"the free memory of {torch.cuda.get_device_name(device)}"
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    container = container_limit()
    return (machine, "this machine") if container is None or container >= machine else (container, "this container")


def container_limit() -> int | None:
    """Bytes that Linux's control groups, of either version, leave this process; None if they set no limit.

    Each group stands under its parent's limit, too. Inside of a container its own group may be shown as the root.
    """
    try:
        lines = MEMBERSHIP.read_text().splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, kinds, group = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        root, name = (GROUPS / "memory", "memory.limit_in_bytes") if kinds else (GROUPS, "memory.max")
        inside = PurePosixPath(group.lstrip("/"))
        limits += [_limit(root / folder / name) for folder in (inside, *inside.parents)]
    return min((limit for limit in limits if limit is not None), default=None)


def _limit(path: Path) -> int | None:
    """What is written there, if it is a number: `max` is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
