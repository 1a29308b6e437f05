"""What a caption says of the results behind a figure, read from their metadata and never typed in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from p2pl.experiment import Experiment
from p2pl.stats import CONFIDENCE
from p2pl.sweep import label
from paper_figures.style import words

COLUMNS_OF_RESULTS = ("experiment", "arm")
SAID_ELSEWHERE = ("dataset", "devices", "rounds", "seed", "every", "target")


def caption(template: str, results: dict[str, pd.DataFrame]) -> str:
    """The template with {devices}, {rounds}, {target}, {setting} and {seed} (the first) filled in; then what none may
    lack.

    A template that says {seeds} itself, with what its lines are, is spared the sentence about curves and bands.
    """
    experiments = [Experiment.of(spec) for table in results.values() for spec in table.attrs["specs"].values()]
    facts = {
        "devices": among(e.devices for e in experiments),
        "rounds": among(e.rounds for e in experiments),
        "seed": min(e.seed for e in experiments),
        "setting": setting(experiments),
        "target": among(f"{100 * e.evaluation.target:g} %" for e in experiments),
    }
    facts["seeds"] = among(len(cell["seeds"]) for table in results.values() for cell in table.attrs["cells"])
    bands = (
        f"Lines are means over n = {facts['seeds']} seeds, bands their {100 * CONFIDENCE:g} % Student-t intervals;"
        " a curve ends before the first round that not all of its seeds reached."
    )
    sentences = [
        " ".join(template.split()).format(**facts),
        f"Data: {data(results)}. K = {facts['devices']} devices.",
        *([] if "{seeds}" in template else [bands]),
        diverged(results),
    ]
    return " ".join(sentences)


def setting(experiments: Sequence[Experiment]) -> str:
    """What two thirds of the runs have in common, as a spec says it: of what is default, only the graph."""
    specs = [{"topology": experiment.topology.name} | experiment.spec() for experiment in experiments]
    said = Counter(option for spec in specs for option in options(spec))
    return ", ".join(option for option, runs in said.items() if 3 * runs >= 2 * len(specs))


def options(spec: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """`training.lr = 0.2` and the like, of a spec or a part of it, but for what captions say elsewhere."""
    for key, value in spec.items():
        if isinstance(value, Mapping):
            yield from options(value, f"{above}{key}.")
        elif key not in SAID_ELSEWHERE:
            values = [label(one) for one in value] if key == "failures" else [label(value)]
            yield f"{above}{key} = {', '.join(map(str, values))}"


def among(values: Iterable[Any]) -> str:
    """`20`, or `5, 10 or 20`, in order."""
    said = [str(value) for value in sorted(set(values))]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} or {said[-1]}"


def data(results: dict[str, pd.DataFrame]) -> str:
    """Source and checksum of every data set behind the results."""
    known = {name: facts for table in results.values() for name, facts in table.attrs["data"].items()}
    return "; ".join(f"{facts['source']} (SHA-256 {facts['checksum'][:12]}…)" for facts in known.values())


def diverged(results: dict[str, pd.DataFrame]) -> str:
    """The sentence that names every run that diverged, and when; and every prediction that did."""
    said = []
    for table in results.values():
        keys = dict.fromkeys(key for cell in table.attrs["cells"] for key in cell)
        grid = [key for key in keys if key not in ("key", "seeds", *COLUMNS_OF_RESULTS)]
        known = table.assign(status=table["run"].map(table.attrs["status"]))
        ends = known[known["status"] != "finished"].drop_duplicates(["arm", *grid, "seed"])
        for row in ends.to_dict("records"):
            place = [words(row[key]) for key in ("arm", *grid) if row[key] != "" and pd.notna(row[key])]
            place.append(f"seed {row['seed']}, {row['status']}")
            said.append(("prediction of " if "source" in table else "") + ", ".join(place))
    return f"Diverged: {'; '.join(dict.fromkeys(said))}." if said else "No run diverged."
