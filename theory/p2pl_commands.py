"""The commands that this package adds to `p2pl`: predict, compare, forecast, onset."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from p2pl.arguments import add_spec, check_writable, experiments_of, values_of
from p2pl.experiment import Experiment
from p2pl.options import SpecError

GIGA = 2**30


def add_commands(commands: Any) -> None:
    """Adds them to the subcommands of a parser. Torch is imported when one is run."""
    predict = commands.add_parser("predict", help="predict the curves of a spec by the theory, from its start alone")
    add_spec(predict)
    predict.add_argument("--memory", type=float, default=4.0, help="GB that the kernels may take (default: 4)")
    predict.add_argument("--flow", action="store_true", help="local steps as gradient flow, in continuous time")
    predict.add_argument(
        "--cuts", default="none", help="rounds after which to linearize anew, e.g. 2,5,10; or geometric: 2,4,8,..."
    )
    predict.add_argument("--json", action="store_true", help="print the summary as JSON (several: {'runs': [...]})")
    predict.set_defaults(command=predict_command, warm=True)

    compare = commands.add_parser("compare", help="say how far a prediction, or a forecast, is from the run")
    compare.add_argument("run", type=Path, help="results of `p2pl run`")
    compare.add_argument("theory", type=Path, help="results of `p2pl predict`, or `p2pl forecast`, of the same spec")
    compare.add_argument("--out", type=Path, help="write the errors as a table, too, .parquet")
    compare.add_argument("--json", action="store_true", help="print the errors as JSON (several runs: {'runs': [...]})")
    compare.set_defaults(command=compare_command, warm=True)
    add_forecast(commands)

    onset = commands.add_parser("onset", help="predict the learning rate at which a linearized spec begins to grow")
    add_spec(onset, outputs=False)
    onset.add_argument("--around", metavar="A[,B]", help="run it, too, at these shares of that rate, e.g. 0.97,1.03")
    onset.add_argument("--json", action="store_true", help="print {'runs': [...]}, a row for each seed and share")
    onset.set_defaults(command=onset_command, warm=True)


def add_forecast(commands: Any) -> None:
    forecast = commands.add_parser("forecast", help="forecast many settings of a spec for a fraction of their runs")
    forecast.add_argument("spec", help="a YAML file, or the spec itself as a JSON mapping")
    for name, what in (("topologies", "ring,star"), ("mixings", "p2pl,metropolis"), ("failures", "0,0.3,0.6")):
        forecast.add_argument(f"--{name}", metavar="A[,B]", help=f"e.g. {what} (default: the spec's own)")
    forecast.add_argument("--seeds", help="e.g. 0,1,2 (default: the spec's own)")
    forecast.add_argument(
        "--set", action="append", default=[], metavar="KEY=V[,V]", help="change a key; several: a grid"
    )
    forecast.add_argument("--targets", default="0.5,0.6,0.7,0.8", help="test accuracies whose rounds are wanted")
    forecast.add_argument(
        "--by",
        choices=["span", "path"],
        default="span",
        help="networks that see a few directions of the inputs; or kernels along one centralized run",
    )
    forecast.add_argument("--directions", type=int, default=20, help="of the inputs, for --by span (default: 20)")
    forecast.add_argument("--anchors", type=int, default=8, help="kernels, for --by path (default: 8)")
    forecast.add_argument("--out", type=Path, help="results file to write, .parquet")
    forecast.add_argument("--json", action="store_true", help="print {'runs': [...]}, one summary a setting")
    forecast.set_defaults(command=forecast_command, warm=True)


def predict_command(options: argparse.Namespace) -> None:
    experiments = experiments_of(options.spec, options.set, options.seeds)
    check_writable(options.out)
    if not options.memory > 0:
        raise SpecError(f"--memory: expected a number of GB above 0, got {options.memory:g}")
    import torch

    from theory.predict import Way, predict_all

    torch.set_num_threads(1)  # as a run does
    way = Way(int(options.memory * GIGA), options.flow, cuts_of(options.cuts))
    summaries = list(predict_all(experiments, options.out, way, options.outputs))
    if options.json:
        print(json.dumps(summaries[0] if len(summaries) == 1 else {"runs": summaries}))
        return
    for one in summaries:
        accuracy = "" if one["accuracy_mean"] is None else f", accuracy {one['accuracy_mean']:.4f}"
        print(f"seed {one['seed']}: {one['status']}, loss {one['loss_mean']:.4g}{accuracy}, {one['seconds']} s")
    print(f"written to {options.out}", file=sys.stderr)


def cuts_of(text: str) -> list[int] | str:
    """Rounds, or the word `geometric`; `none` for none. Raises SpecError for anything else."""
    if text in ("none", "geometric"):
        return text if text == "geometric" else []
    rounds = values_of(text, "--cuts")
    if not all(isinstance(number, int) and number > 0 for number in rounds):
        raise SpecError(f"--cuts: expected none, geometric, or rounds such as 2,5,10; got '{text}'")
    return rounds


def compare_command(options: argparse.Namespace) -> None:
    from theory.check import is_forecast
    from theory.compare import MEASURES, compare, write_report

    if options.out:
        check_writable(options.out)
    if is_forecast(options.theory):
        check_forecast(options)
        return
    report = compare(options.run, options.theory, lambda words: print(words, file=sys.stderr, flush=True))
    if options.out:
        write_report(report, options.run, options.theory, options.out)
    if options.json:
        print(json.dumps(report[0] if len(report) == 1 else {"runs": report}))
        return
    print(f"{'seed':>6}" + "".join(f"{name:>18}" for name in MEASURES))
    for one in report:
        cells = ["-" if one[name] is None else f"{one[name]:.2%}" for name in MEASURES]
        print(f"{one['seed']:>6}" + "".join(f"{cell:>18}" for cell in cells))
    for words in dict.fromkeys(words for one in report for words in one["warnings"]):
        print(f"out of range: {words}")


def check_forecast(options: argparse.Namespace) -> None:
    from theory.check import check, write_checks

    report = check(options.run, options.theory)
    if options.out:
        write_checks(report, options.run, options.theory, options.out)
    if options.json:
        print(json.dumps({"runs": report}))
        return
    print(f"{'seed':>6}{'accuracy':>10}{'target':>8}{'rounds':>9}{'forecast':>10}{'error':>8}")
    for one in report:
        rounds = [f"{'-' if one[name] is None else f'{one[name]:.1f}'}" for name in ("rounds", "rounds_forecast")]
        error = "-" if one["error"] is None else f"{one['error']:.0%}"
        print(f"{one['seed']:>6}{one['accuracy']:>10.2%}{one['target']:>8.0%}{rounds[0]:>9}{rounds[1]:>10}{error:>8}")


def forecast_command(options: argparse.Namespace) -> None:
    experiments = settings_of(options)
    targets = [float(value) for value in values_of(options.targets, "--targets")]
    if options.out is not None:
        check_writable(options.out)
    if options.directions < 1 or options.anchors < 2:
        raise SpecError("--directions: at least 1, and --anchors: at least 2")
    import torch

    from theory.forecast import Method, forecast_all

    torch.set_num_threads(1)
    method = Method(options.by, options.directions, options.anchors)
    summaries = []
    if not options.json:
        print(f"{'accuracy':>9}" + "".join(f"{target:>8.0%}" for target in targets) + "   seconds  seed, setting")
    for one in forecast_all(experiments, method, targets, options.out):
        summaries.append(one)
        if not options.json:
            rounds = "".join(f"{'-' if r is None else r:>8}" for r in one["rounds_to"].values())
            named = {key: one["spec"].get(key) for key in ("topology", "mixing", "failures") if key in one["spec"]}
            print(f"{one['accuracy_mean']:>9.4f}{rounds}{one['seconds']:>10.2f}  {one['seed']}, {named}", flush=True)
    if options.json:
        print(json.dumps({"runs": summaries}))


def onset_command(options: argparse.Namespace) -> None:
    experiments = experiments_of(options.spec, options.set, options.seeds)
    shares = [] if options.around is None else values_of(options.around, "--around")
    if not all(isinstance(share, int | float) and share > 0 for share in shares):
        raise SpecError(f"--around: expected numbers above 0 such as 0.97,1.03; got '{options.around}'")
    check_writable(options.out)
    import torch

    from theory.growth import onsets

    torch.set_num_threads(1)
    rows = []
    for one in onsets(experiments, shares, options.out):
        rows.append(one)
        if not options.json:
            seen = "" if one["lr"] is None else f"; at {one['share']:g} of it, growth {one['growth']:+.2%} a step"
            print(f"seed {one['seed']}: growth from lr {one['growth_onset_lr']:.4g} on{seen}", flush=True)
    if options.json:
        print(json.dumps({"runs": rows}))


def settings_of(options: argparse.Namespace) -> list[Experiment]:
    """Every combination of the topologies, mixing rules and failures; a number is the rate at which links are down."""
    lists = {"topology": options.topologies, "mixing": options.mixings}
    changes = [*options.set, *(f"{key}={values}" for key, values in lists.items() if values is not None)]
    experiments = experiments_of(options.spec, changes, options.seeds)
    if options.failures is None:
        return experiments
    failures = [
        {"name": "links", "rate": float(one)} if isinstance(one, int | float) else one
        for one in values_of(options.failures, "--failures")
    ]
    return [experiment.replace(failures=one) for experiment in experiments for one in failures]
