"""The command `p2pl`: run, build, data, collect, tune, list, graph, bench. Wrong input: a sentence, exit code 2.

A package beside this one adds commands of its own by a file `p2pl_commands.py` with a function add_commands(commands).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from p2pl import benchmark, registry, warm
from p2pl.arguments import add_spec, check_writable, experiments_of, mapping_of
from p2pl.native.build import BuildError
from p2pl.registry import SpecError, did_you_mean


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0; 2 if the input was wrong; 1 if disk, memory or a compiler gave out."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser().parse_args(given)
    try:
        done = warm.ask(given) if "warm" in options else None
        if done is not None:
            return done
        options.command(options)
    except SpecError as problem:
        print(f"p2pl: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("p2pl: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `p2pl list | head`
        sys.stderr.close()
    except BuildError as problem:
        print(f"p2pl: {problem}", file=sys.stderr)
        return 1
    except (OSError, MemoryError) as problem:  # a full disk, say: not the user's input, and not a bug to trace
        print(f"p2pl: {type(problem).__name__}: {problem}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="p2pl", description="Peer-to-peer deep learning, simulated and measured.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a spec and write its results")
    add_spec(run)
    run.add_argument(
        "--tuned", nargs=2, metavar=("FILE", "ARM"), help="lay over the spec what `p2pl tune` chose for an arm"
    )
    run.add_argument("--json", action="store_true", help="print the summary as JSON (several runs: {'runs': [...]})")
    run.set_defaults(command=run_command, warm=True)

    add_pipeline(commands)

    listing = commands.add_parser("list", help="show everything that a spec can name")
    listing.add_argument("kind", nargs="?", help="only one kind, e.g. topology")
    listing.add_argument("--json", action="store_true", help="names, docstrings and options as JSON")
    listing.set_defaults(command=list_command)

    graph = commands.add_parser("graph", help="measure and draw a topology with a mixing rule")
    graph.add_argument("name", help="a topology, or a JSON mapping with name and options")
    graph.add_argument("--devices", type=int, default=10)
    graph.add_argument("--mixing", default="p2pl", help="a mixing rule, or a JSON mapping")
    graph.add_argument("--seed", type=int, default=0)
    graph.add_argument("--out", type=Path, help="picture to draw, .png or .pdf (default: NAME-K.png here)")
    graph.add_argument(
        "--json", action="store_true", help="print diameter, slem, stationary, edges as JSON; draw only to --out"
    )
    graph.set_defaults(command=graph_command)

    benchmark.add_command(commands)
    add_others(commands)
    return top


def add_others(commands: Any) -> None:
    """The commands of packages beside this one, found as all parts are: by their files."""
    for file in sorted(Path(__file__).parent.parent.glob("*/p2pl_commands.py")):
        if importlib.util.find_spec(file.parent.name):
            importlib.import_module(f"{file.parent.name}.p2pl_commands").add_commands(commands)


def add_pipeline(commands: Any) -> None:
    """The steps of the pipeline besides `run`."""
    native = commands.add_parser("build", help="compile the native engine, which learns MLPs several times as fast")
    native.set_defaults(command=build_command)

    data = commands.add_parser("data", help="check that a data set is there; print its source and checksum as JSON")
    data.add_argument("name", help="a name, or a JSON mapping with name and options")
    data.set_defaults(command=data_command)

    collect = commands.add_parser("collect", help="join the results of one block of a table of experiments")
    collect.add_argument("table", type=Path, help="e.g. config/config.yaml")
    collect.add_argument("block", help="name of an experiment in the table")
    collect.add_argument("--runs", required=True, type=Path, help="folder of the runs' results")
    collect.add_argument("--out", required=True, type=Path, help="table to write, .parquet")
    collect.set_defaults(command=collect_command)

    tune = commands.add_parser("tune", help="from a collected table, the best values of its grid for each arm, as JSON")
    tune.add_argument("table", type=Path, help="a table of results, from `p2pl collect`")
    tune.set_defaults(command=tune_command)


def run_command(options: argparse.Namespace) -> None:
    experiments = experiments_of(options.spec, options.set, options.seeds, options.tuned)
    check_writable(options.out)
    import torch

    from p2pl.progress import Progress
    from p2pl.run import run_all

    torch.set_num_threads(1)  # one thread a run, runs side by side: faster in all, and the same bytes on any machine
    with Progress([experiment.rounds for experiment in experiments]) as progress:
        summaries = run_all(experiments, options.out, None, progress.report, progress.announce, options.outputs)
    if options.json:
        print(json.dumps(summaries[0] if len(summaries) == 1 else {"runs": summaries}))
    else:
        progress.summary(summaries, options.out)


def build_command(options: argparse.Namespace) -> None:
    from p2pl.native.build import build

    print(f"the native engine is in {build()}")


def data_command(options: argparse.Namespace) -> None:
    from p2pl.data import load

    known = load(registry.dataset.resolve(mapping_of(options.name)))
    facts = {"name": known.name, "source": known.source, "checksum": known.checksum}
    print(json.dumps(facts | {"train": len(known.x_train), "test": len(known.x_test)}))


def collect_command(options: argparse.Namespace) -> None:
    from p2pl.results import collect
    from p2pl.sweep import cells
    from p2pl.table_files import read_table

    table = read_table(options.table)
    if options.block not in table["experiments"]:
        hint = did_you_mean(options.block, table["experiments"])
        raise SpecError(f"{options.table} has no experiment '{options.block}'{hint}")
    collect(cells(table, options.block), options.runs, options.out)


def tune_command(options: argparse.Namespace) -> None:
    from p2pl.results import load
    from p2pl.tuning import at_edges, tune

    outcome = tune(load(options.table))
    print(json.dumps(outcome, indent=1, ensure_ascii=False))
    for said in at_edges(outcome):
        print(f"{said}: a better value may lie beyond", file=sys.stderr)


def list_command(options: argparse.Namespace) -> None:
    families = {family.kind: family for family in registry.FAMILIES}
    if options.kind is not None and options.kind not in families:
        raise SpecError(f"there is no kind '{options.kind}'{did_you_mean(options.kind, families)}")
    chosen = [family for kind, family in families.items() if options.kind in (None, kind)]
    if options.json:
        print(json.dumps({f.kind: {name: described(entry) for name, entry in f.entries.items()} for f in chosen}))
        return
    for family in chosen:
        print(f"{family.kind}")
        width = 2 + max(20, *map(len, family.entries))
        for name, entry in sorted(family.entries.items()):
            print(f"  {name:<{width}}{entry.doc}")
            written = [f"{o.name}{'' if o.required else f' = {o.default}'}" for o in entry.options.values()]
            if written:
                print(f"  {'':<{width}}  options: {', '.join(written)}")
        print()


def described(entry: registry.Entry) -> dict[str, Any]:
    options = entry.options.values()
    facts = {o.name: {"type": o.annotation, "required": o.required, "default": o.default} for o in options}
    return {"doc": entry.doc, "options": facts}


def graph_command(options: argparse.Namespace) -> None:
    from p2pl.graph import describe, text

    if options.seed < 0:
        raise SpecError(f"--seed: expected an integer of at least 0, got {options.seed}")
    facts = describe(mapping_of(options.name), options.devices, mapping_of(options.mixing), options.seed)
    picture = options.out
    if picture is None and not options.json:
        picture = Path(f"{facts.network.name}-{options.devices}.png")
    if picture is not None:
        from p2pl.drawing import draw_network

        if picture.suffix not in (".png", ".pdf", ".svg"):
            raise SpecError(f"cannot draw {picture}: end it with .png, .pdf or .svg")
        check_writable(picture)
        draw_network(facts.network, facts.stationary, picture)
    print(json.dumps(facts.plain()) if options.json else f"{text(facts)}\ndrawn in {picture}")


if __name__ == "__main__":
    sys.exit(main())
