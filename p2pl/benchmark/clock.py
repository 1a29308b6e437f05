"""Times and peaks, measured in one process on one thread, in CPU time: a busy machine then disturbs the least.

What is compared runs in turn (A B C A B C ...), so that a change of clock speed or of load meets all alike.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import torch
from torch.nn import functional as F

from p2pl.native.library import Library, loaded, supported

Task = Callable[[], object]
Name = TypeVar("Name", bound=Hashable)
PRODUCTS = (512, 1024)  # sizes of the square matrices whose products give the peak
TURNS = 1_000_000  # multiply-adds of each register that give the peak
SHORTEST = 0.02  # seconds: what takes less is repeated within one measurement


def cpu_seconds(task: Task, times: int = 1) -> float:
    """CPU seconds of one call, a mean over `times` calls."""
    begun = time.process_time()
    for _ in range(times):
        task()
    return (time.process_time() - begun) / times


def in_turn(tasks: Mapping[Name, Task], seconds: float, least: int = 3, most: int = 15) -> dict[Name, list[float]]:
    """CPU seconds of every task in every repetition: as many as fit into so many seconds, `least` to `most`.

    Before the first, each task runs once untimed, which also tells how often a short one is to be repeated.
    """
    times = {name: max(1, round(SHORTEST / max(cpu_seconds(task), 1e-6))) for name, task in tasks.items()}
    found: dict[Name, list[float]] = {name: [] for name in tasks}
    begun = time.monotonic()
    for repetition in range(most):
        spent = time.monotonic() - begun
        if repetition >= least and spent * (repetition + 1) / repetition > seconds:
            break
        for name, task in tasks.items():
            found[name].append(cpu_seconds(task, times[name]))
    return found


def times_as_fast(own: list[float], other: list[float]) -> float:
    """How many times as fast as the other: the median over repetitions of the ratio within one."""
    return median(b / a for a, b in zip(own, other, strict=True))


@dataclass(frozen=True)
class Peak:
    """The fastest float32 arithmetic of this core: a task of so many floating-point operations, and what it is."""

    task: Task
    flops: float
    by: str


def peak_of_core(seconds: float) -> Peak:
    """Found in so many seconds.

    By the native library, where it is built: multiply-adds in registers, with the best of all instruction sets,
    whichever the engines use. Else large products as torch makes them, by `torch.mm` (MKL, say) or by oneDNN, for
    neither is the faster one everywhere.
    """
    library = loaded()
    able = products() if library is None else turns(library)
    times = in_turn({number: one.task for number, one in enumerate(able)}, seconds)
    return max(able, key=lambda one: one.flops / min(times[able.index(one)]))


def turns(library: Library) -> list[Peak]:
    """Multiply-adds in registers, by each instruction set that this machine has."""
    found = []
    for name in supported(library.handle):
        task = partial(Library(library.handle, name).turn_over, TURNS)
        found.append(Peak(task, task(), f"multiply-adds in registers, {name}"))
    return found


def products() -> list[Peak]:
    """Products of square matrices of PRODUCTS, (n, n) by (n, n): 2 n^3 operations each, by both ways that torch has."""
    found = []
    for size in PRODUCTS:
        a, b = torch.randn(size, size), torch.randn(size, size)
        found.append(Peak(partial(torch.mm, a, b), 2 * size**3, "best large product"))
        if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            found.append(Peak(partial(F.linear, a.to_mkldnn(), b.to_mkldnn()), 2 * size**3, "best large product"))
    return found


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
    }


def processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
