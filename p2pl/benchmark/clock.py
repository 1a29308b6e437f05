"""Times and peaks, measured in one process on one thread, in CPU time: a busy machine then disturbs the least.

What is compared runs in turn (A B C A B C ...), so that a change of clock speed or of load meets all alike.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.nn import functional as F

from p2pl.native.library import Library, loaded, supported

Task = Callable[[], object]
PRODUCTS = (512, 1024)  # sizes of the square matrices whose products give the peak
TURNS = 1_000_000  # multiply-adds of each register that give the peak
SHORTEST = 0.02  # seconds: what takes less is repeated within one measurement


def cpu_seconds(task: Task, times: int = 1) -> float:
    """CPU seconds of one call, a mean over `times` calls."""
    begun = time.process_time()
    for _ in range(times):
        task()
    return (time.process_time() - begun) / times


def in_turn(tasks: Mapping[str, Task], seconds: float, least: int = 3, most: int = 15) -> dict[str, list[float]]:
    """CPU seconds of every task in every repetition: as many as fit into so many seconds, `least` to `most`.

    Before the first, each task runs once untimed, which also tells how often a short one is to be repeated.
    """
    times = {name: max(1, round(SHORTEST / max(cpu_seconds(task), 1e-6))) for name, task in tasks.items()}
    found: dict[str, list[float]] = {name: [] for name in tasks}
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


def flops_per_second(seconds: float) -> tuple[float, str]:
    """The peak of this core's float32 arithmetic, and by what it was found.

    By the native library, where it is built: multiply-adds in registers, with the best of all instruction sets,
    whichever the engines use. Else as torch reaches it, the best rate of large products, by `torch.mm` (MKL, say) and
    by oneDNN, for neither is the faster one everywhere.
    """
    library = loaded()
    if library is not None:
        turns = {name: partial(Library(library.handle, name).turn_over, TURNS) for name in supported(library.handle)}
        times = in_turn(turns, seconds)
        rates = {name: turn() / min(times[name]) for name, turn in turns.items()}
        fastest = max(rates, key=rates.__getitem__)
        return rates[fastest], f"multiply-adds in registers, {fastest}"
    best = 0.0
    for size in PRODUCTS:
        a, b = torch.randn(size, size), torch.randn(size, size)
        tasks: dict[str, Task] = {"MKL": lambda a=a, b=b: torch.mm(a, b)}  # type: ignore[misc]
        if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            c, d = a.to_mkldnn(), b.to_mkldnn()
            tasks["oneDNN"] = lambda c=c, d=d: F.linear(c, d)  # type: ignore[misc]
        found = in_turn(tasks, seconds / len(PRODUCTS))
        best = max(best, 2 * size**3 / min(map(min, found.values())))
    return best, "best large product"


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
