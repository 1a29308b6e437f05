"""How much memory a peer needs beyond its parameters: the high-water mark of a fresh process that runs it alone."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import resource
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import torch

from p2pl.benchmark.discovery import TINY, Peer, declared
from p2pl.benchmark.job import Job, Material

PRELOADED = [__name__, "torch._dynamo"]  # the latter is what torch.optim imports when it is first used


def peaks(cases: Iterable[tuple[str, Job]]) -> list[int | None]:
    """Bytes beyond data and K x P parameters at the peak of an epoch, a mixing and another epoch.

    cases: pairs of a peer's name and a job, of which two batches a device are done: more steps need no more.
    None for a process that the system has ended, as it does when memory gives out.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)  # imported once; still every peer starts without a history
    found: list[int | None] = []
    for name, job in cases:
        with ProcessPoolExecutor(1, mp_context=context) as process:
            try:
                found.append(process.submit(peak, name, job).result())
            except BrokenProcessPool:
                found.append(None)
    return found


def peak(name: str, job: Job) -> int:
    """The same for one peer in this process, whose high-water mark should not have been raised before."""
    torch.set_num_threads(1)
    maker = declared()[0][name]
    run(maker(Material(replace(TINY, inputs=job.inputs))))  # libraries load, and set up what they keep
    material = Material(replace(job, samples=2 * job.batch, tests=TINY.tests))
    trim()
    before = resident()
    run(maker(material))
    return high_water() - before - material.draws.nbytes


def run(peer: Peer) -> None:
    peer.epoch()
    peer.mix()
    peer.epoch()  # from now on there are velocities


def trim() -> None:
    """Gives what is free back to the system, where the C library can, or later memory would come from there."""
    gc.collect()
    release = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if release is not None:
        release(0)


def high_water() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def resident() -> int:
    """Bytes in memory now; the high-water mark where the system does not tell."""
    facts = Path("/proc/self/statm")
    return int(facts.read_text().split()[1]) * resource.getpagesize() if facts.is_file() else high_water()
