"""The command `p2pl bench`: our engines, torch's own ways and other frameworks at one job, in one process, in turn.

    job.py          the job and its data: what every peer is given
    discovery.py    what a peer is, and where peers are found: one file each
    peers/          our engines, the plain loop of torch, torch.func.vmap; others: `benchmarks/*_peer.py`
    clock.py        CPU times in turn; the peak of this core
    memory.py       the high-water mark of each peer in a process of its own
    suite.py        what is measured, as rows
    report.py, picture.py    the rows as tables and as a picture

Nothing here is imported, nor torch, before the command runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from p2pl.options import SpecError


def add_command(commands: Any) -> None:
    """Adds `bench` to the subcommands of a parser."""
    bench = commands.add_parser("bench", help="time the engines against plain torch and other frameworks")
    bench.add_argument("--json", action="store_true", help="print the outcome as JSON")
    bench.add_argument("--out", type=Path, default=Path("results/bench"), help="folder of bench.json and bench.png")
    bench.add_argument("--quick", action="store_true", help="fewer devices and sizes: half a minute, not five")
    bench.add_argument("--devices", type=int, help="how many devices the job has (default: 100, or 10 with --quick)")
    bench.add_argument("--only", metavar="NAME[,NAME]", help="only these engines and peers, and the plain loop")
    bench.set_defaults(command=bench_command)


def bench_command(options: argparse.Namespace) -> None:
    """Measures, then writes OUT/bench.json and OUT/bench.png. Raises SpecError for what cannot be had."""
    if options.devices is not None and options.devices < 3:
        raise SpecError(f"--devices: expected an integer of at least 3, got {options.devices}")
    if options.out.exists() and not options.out.is_dir():
        raise SpecError(f"--out {options.out}: it is a file; name a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    from dataclasses import replace

    from rich.console import Console

    from p2pl.atomic import write_whole
    from p2pl.benchmark import picture, report, suite
    from p2pl.benchmark.discovery import find

    plan = suite.QUICK if options.quick else suite.FULL
    if options.devices is not None:
        plan = replace(plan, job=replace(plan.job, devices=options.devices))
    only = None if options.only is None else [*dict.fromkeys([*options.only.split(","), suite.YARDSTICK])]
    outcome = suite.measure(plan, find(only), lambda words: print(f"bench: {words}", file=sys.stderr, flush=True))
    written = json.dumps(outcome, indent=1, ensure_ascii=False) + "\n"
    write_whole(options.out / "bench.json", lambda file: file.write(written.encode()))
    picture.draw(outcome, options.out / "bench.png")
    if options.json:
        print(json.dumps(outcome))
    else:
        report.show(outcome, Console())
        print(f"written to {options.out}/bench.json and {options.out}/bench.png")
