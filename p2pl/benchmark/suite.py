"""Everything that `p2pl bench` measures, as one mapping of plain rows; see docs/benchmarks.md for the columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch

from p2pl.benchmark import clock, memory
from p2pl.benchmark.clock import in_turn, times_as_fast
from p2pl.benchmark.discovery import Evaluating, Found, Maker, Peer, Whole
from p2pl.benchmark.job import KINDS, ROUND, Job, Kind, Material
from p2pl.benchmark.peers.ours import ENGINES

YARDSTICK = "plain_loop"
GRAPHS = {"ring": 2, "10-regular": 10}
MOST_IN_ROUNDS = 30  # devices: an evaluation is long, and the shares of a round hardly depend on their number
IN_ROUNDS: tuple[Kind, ...] = ("sparse", "dense")  # what the native engine is at its best with, and at its worst
PARTS = {"learning": "epoch", "mixing": "mix", "evaluation": "evaluate"}  # of a round: the methods of a peer
Row = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How much is measured. seconds: of CPU for the epochs of one kind of inputs; half is for mixing, and so on.

    growth: by what the costs grow, and the values it takes.
    """

    job: Job
    seconds: float
    growth: dict[str, tuple[int, ...]]
    memory_devices: int = 100


FULL = Plan(
    Job(),
    seconds=45,
    growth={
        "devices": (10, 30, 100),
        "width": (32, 64, 128, 200, 512, 1024),
        "batch": (1, 4, 10, 16, 64),
        "depth": (1, 2, 3, 4, 5),
    },
)
QUICK = Plan(
    Job(devices=10),
    seconds=3,
    growth={"devices": (3, 10), "width": (32, 512), "batch": (1, 64), "depth": (1, 3)},
)


def measure(plan: Plan, found: Found, say: Say) -> dict[str, Any]:
    """All sections. say: told what is being measured now. Uses one thread of torch, and leaves it so."""
    torch.set_num_threads(1)
    say("peak of floating-point arithmetic")
    peak = clock.peak_of_core(min(4.0, plan.seconds / 4))
    rows, rates = [], []
    for inputs in KINDS:
        some, rate = epochs(plan, inputs, found, peak, say)
        rows += some
        rates.append(rate)
    remember(plan, rows, say)
    mixing, copy = mixings(plan, found, say)
    return {
        "engines": rows,
        "mixing": mixing,
        "rounds": [row for inputs in IN_ROUNDS for row in rounds(plan, inputs, found, say)],
        "growth": [row for by in plan.growth for row in grown(plan, by, found, say)],
        "missing": [{"engine": name, "why": why} for name, why in found.missing.items()],
        "machine": clock.machine()
        | {"fma_peak_gflops": max(rates) / 1e9, "fma_peak_by": peak.by, "copy_gb_per_second": copy},
        "job": {name: getattr(plan.job, name) for name in ("devices", "hidden", "batch", "samples", "degree")}
        | {"parameters": plan.job.parameters, "flops_per_device_step": plan.job.flops, "tests": plan.job.tests}
        | {"memory_devices": plan.memory_devices},
    }


def made(makers: dict[str, Maker], job: Job) -> dict[str, Peer]:
    material = Material(job)
    return {name: maker(material) for name, maker in makers.items()}


def timed(times: Mapping[str, list[float]], steps: int) -> dict[str, Row]:
    """What a device-step takes of tasks that have so many, by engine."""
    return {
        name: {
            "ratio_to_plain_loop": times_as_fast(found, times[YARDSTICK]) if YARDSTICK in times else None,
            "us_per_device_step": median(found) / steps * 1e6,
            "us_best": min(found) / steps * 1e6,
            "repetitions": len(found),
        }
        for name, found in times.items()
    }


def epochs(plan: Plan, inputs: Any, found: Found, peak: clock.Peak, say: Say) -> tuple[list[Row], float]:
    """The standard job by all engines and peers: learning alone, and with the mixing that follows it.

    Learning takes turns with the peak, too, the best rate of which is returned.
    """
    job = replace(plan.job, inputs=inputs)
    say(f"one epoch of {job.devices} devices, {inputs} inputs")
    peers = made(dict(found.makers), job)
    times = in_turn({None: peak.task, **{name: peer.epoch for name, peer in peers.items()}}, plan.seconds)
    at_peak = times.pop(None)
    whole = timed(in_turn({name: whole_round(peer) for name, peer in peers.items()}, plan.seconds / 2), job.steps)
    share = 100 * job.flops * job.steps / peak.flops
    return [
        {
            "engine": name,
            "inputs": inputs,
            **row,
            "device_steps_per_second": 1e6 / row["us_per_device_step"],
            "percent_of_fma_peak": share * times_as_fast(times[name], at_peak),
            "round_us_per_device_step": whole[name]["us_per_device_step"],
            "round_ratio_to_plain_loop": whole[name]["ratio_to_plain_loop"],
            "differs": found.differs[name],
        }
        for name, row in timed(times, job.steps).items()
    ], peak.flops / min(at_peak)


def whole_round(peer: Peer) -> clock.Task:
    """An epoch and a mixing, by the peer's own loop if it has one."""
    if isinstance(peer, Whole):
        return peer.round

    def both() -> None:
        peer.epoch()
        peer.mix()

    return both


def remember(plan: Plan, rows: list[Row], say: Say) -> None:
    """Adds what each engine needs beyond data and parameters, in MB and as a multiple of the K x P parameters.

    Measured with dense inputs; what engines hold depends on the kind of inputs by next to nothing.
    """
    say(f"memory of {plan.memory_devices} devices")
    job = replace(plan.job, devices=plan.memory_devices)
    names = list(dict.fromkeys(row["engine"] for row in rows))
    peaks = dict(zip(names, memory.peaks([(name, job) for name in names]), strict=True))
    for row in rows:
        peak = peaks[row["engine"]]
        row["memory_mb"] = None if peak is None else peak / 1e6
        row["memory_over_parameters"] = None if peak is None else peak / (4 * job.devices * job.parameters)


def mixings(plan: Plan, found: Found, say: Say) -> tuple[list[Row], float]:
    """One mixing by each of them, beside a copy of as many numbers; and the rate of that copy in GB/s (read + written).

    A mixing of new numbers reads and writes as many at least, K P each. (A copy reads what it overwrites, too.)
    """
    rows, best = [], 0.0
    for graph, neighbours in GRAPHS.items():
        job = replace(plan.job, neighbours=neighbours, samples=plan.job.batch)
        say(f"mixing of {job.devices} devices, {graph}")
        peers = made(dict(found.makers), job)
        x = torch.randn(job.devices, job.parameters)
        other = torch.empty_like(x)
        tasks = {name: peer.mix for name, peer in peers.items()}
        times = in_turn({"copy": lambda x=x, other=other: other.copy_(x), **tasks}, plan.seconds / 4)  # type: ignore[misc]
        best = max(best, 2 * x.nbytes / min(times["copy"]) / 1e9)
        rows += [
            {
                "engine": name,
                "graph": graph,
                "degree": job.degree,
                "devices": job.devices,
                "ms": 1e3 * median(times[name]),
                "percent_of_copy": 100 * times_as_fast(times[name], times["copy"]),
            }
            for name in peers
        ]
    return rows, best


def rounds(plan: Plan, inputs: Kind, found: Found, say: Say) -> list[Row]:
    """What whole rounds and their parts cost all that can evaluate, with the evaluations that a spec has by default."""
    job = replace(plan.job, inputs=inputs, devices=min(plan.job.devices, MOST_IN_ROUNDS))
    say(f"whole rounds of {job.devices} devices, {inputs} inputs")
    peers = {name: peer for name, peer in made(dict(found.makers), job).items() if isinstance(peer, Evaluating)}
    each = {part: {name: getattr(peer, method) for name, peer in peers.items()} for part, method in PARTS.items()}
    times = {part: in_turn(tasks, plan.seconds / 8, least=2) for part, tasks in each.items()}
    count = float(job.experiment().evaluation.moments(ROUND) - 1)
    rows: list[Row] = []
    for name in peers:
        ms = {part: 1e3 * median(times[part][name]) * (count if part == "evaluation" else 1) for part in PARTS}
        total = sum(ms.values())
        row: Row = {"engine": name, "inputs": inputs, "devices": job.devices, "ms": total, "evaluations": count}
        row |= {f"{part}_percent": 100 * value / total for part, value in ms.items()}
        rows.append(row | {"us_per_device_step": 1e3 * total / job.steps})
    loop = {row["engine"]: row["ms"] for row in rows}.get(YARDSTICK)
    return [row | {"ratio_to_plain_loop": None if loop is None else loop / row["ms"]} for row in rows]


def grown(plan: Plan, by: str, found: Found, say: Say) -> Iterator[Row]:
    """How the cost of a device-step grows, for our engines and the plain loop."""
    makers = {name: maker for name, maker in found.makers.items() if name in ENGINES or name == YARDSTICK}
    for value in plan.growth[by]:
        job = grown_job(plan.job, by, value)
        say(f"{by} {value}")
        tasks = {name: peer.epoch for name, peer in made(makers, job).items()}
        for name, row in timed(in_turn(tasks, plan.seconds / 20), job.steps).items():
            yield {"by": by, "value": value, "parameters": job.parameters, "engine": name, **row}


def grown_job(job: Job, by: str, value: int) -> Job:
    """The job with another number of devices, or, with 10 devices and 20 batches each, another model or batch."""
    if by == "devices":
        return replace(job, devices=value)
    small = replace(job, devices=min(10, job.devices), samples=20 * job.batch)
    if by == "batch":
        return replace(small, batch=value, samples=20 * value)
    return replace(small, hidden=(value,) if by == "width" else job.hidden * value)
