"""The commands that this package adds to `p2pl`: predict, compare."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from p2pl.arguments import add_spec, check_writable, experiments_of
from p2pl.options import SpecError

GIGA = 2**30


def add_commands(commands: Any) -> None:
    """Adds them to the subcommands of a parser. Torch is imported when one is run."""
    predict = commands.add_parser("predict", help="predict the curves of a spec by the theory, from its start alone")
    add_spec(predict)
    predict.add_argument("--memory", type=float, default=4.0, help="GB that the kernels may take (default: 4)")
    predict.add_argument("--flow", action="store_true", help="local steps as gradient flow, in continuous time")
    predict.add_argument("--json", action="store_true", help="print the summary as JSON (several: {'runs': [...]})")
    predict.set_defaults(command=predict_command)

    compare = commands.add_parser("compare", help="say how far a prediction is from the run")
    compare.add_argument("run", type=Path, help="results of `p2pl run`")
    compare.add_argument("theory", type=Path, help="results of `p2pl predict` of the same spec")
    compare.add_argument("--json", action="store_true", help="print the errors as JSON (several runs: {'runs': [...]})")
    compare.set_defaults(command=compare_command)


def predict_command(options: argparse.Namespace) -> None:
    experiments = experiments_of(options.spec, options.set, options.seeds)
    check_writable(options.out)
    if not options.memory > 0:
        raise SpecError(f"--memory: expected a number of GB above 0, got {options.memory:g}")
    import torch

    from theory.predict import Way, predict_all

    torch.set_num_threads(1)  # as a run does
    way = Way(int(options.memory * GIGA), options.flow)
    summaries = list(predict_all(experiments, options.out, way, options.outputs))
    if options.json:
        print(json.dumps(summaries[0] if len(summaries) == 1 else {"runs": summaries}))
        return
    for one in summaries:
        accuracy = "" if one["accuracy_mean"] is None else f", accuracy {one['accuracy_mean']:.4f}"
        print(f"seed {one['seed']}: {one['status']}, loss {one['loss_mean']:.4g}{accuracy}, {one['seconds']} s")
    print(f"written to {options.out}", file=sys.stderr)


def compare_command(options: argparse.Namespace) -> None:
    from theory.compare import MEASURES, compare

    report = compare(options.run, options.theory, lambda words: print(words, file=sys.stderr, flush=True))
    if options.json:
        print(json.dumps(report[0] if len(report) == 1 else {"runs": report}))
        return
    print(f"{'seed':>6}" + "".join(f"{name:>18}" for name in MEASURES))
    for one in report:
        cells = ["-" if one[name] is None else f"{one[name]:.2%}" for name in MEASURES]
        print(f"{one['seed']:>6}" + "".join(f"{cell:>18}" for cell in cells))
    for words in dict.fromkeys(words for one in report for words in one["warnings"]):
        print(f"out of range: {words}")
