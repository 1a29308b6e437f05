"""`claims.md`: every claim with what was seen of it and the verdict.

python -m paper_figures.claims_table results/tables/*.parquet --out results/claims.md
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from p2pl import results
from p2pl.atomic import write_whole
from p2pl.experiment import Experiment
from p2pl.verdicts import Judgement, judge
from paper_figures.captions import among
from paper_figures.claims import SECTIONS

HEADER = """\
# Claims

{counts}, of {claims} claims. Each is judged by its own 95 % Student-t interval over n paired seeds and by the rule
beside it: about one true effect in twenty lies outside its interval, so single rows of so many are to be read with that
in mind, and rows that share seeds are not independent. An interval that neither bears a claim out nor refutes it leaves
it *undecided*.

`points`: percentage points of test accuracy at the end of the runs. `log2 rounds`: the binary logarithm of a ratio of
rounds to the target accuracy of the experiment, so that -1 means half the rounds. † The value of some seeds is only a
bound, for a run ended before it got there. Sources: [A] the paper's abstract, [S] a secondary summary of it, [C] our
control or question. The statements are in our words.

Data: {data}.
"""


def report(tables: Mapping[str, pd.DataFrame]) -> str:
    """The text of claims.md: a row for each claim whose experiment is among the tables."""
    sections = {
        title: [judge(claim, tables) for claim in claims if claim.experiment in tables]
        for title, claims in SECTIONS.items()
    }
    verdicts = Counter(one.verdict for judged in sections.values() for one in judged)
    sources = {f["source"]: f for table in tables.values() for f in table.attrs["data"].values()}
    text = HEADER.format(
        counts=", ".join(f"{count} **{verdict}**" for verdict, count in verdicts.most_common()),
        claims=verdicts.total(),
        data="; ".join(f"{name} (SHA-256 {facts['checksum'][:12]}…)" for name, facts in sources.items()),
    )
    return text + "".join(section(title, judged, tables) for title, judged in sections.items() if judged)


def section(title: str, judged: list[Judgement], tables: Mapping[str, pd.DataFrame]) -> str:
    """A heading and its rows."""
    lines = [
        f"\n## {title}\n",
        "| claim | source | experiment | effect (95 % interval, n) | holds if | verdict |",
        "|---|---|---|---|---|---|",
        *(row(one, scale(tables[one.claim.experiment])) for one in judged),
    ]
    return "\n".join(lines) + "\n"


def scale(table: pd.DataFrame) -> str:
    """How large the runs behind a table are: a verdict speaks of these, and of no others."""
    experiments = [Experiment.of(spec) for spec in table.attrs["specs"].values()]
    devices, rounds = among(e.devices for e in experiments), among(e.rounds for e in experiments)
    target = among(f"{100 * e.evaluation.target:g} %" for e in experiments)
    return f"K = {devices}, {rounds} rounds, target {target}"


def row(one: Judgement, size: str) -> str:
    mean, low, high, n = one.interval
    seen = f"{mean:+.2f} ({low:+.2f} to {high:+.2f}, {n}) {one.claim.effect.unit}"
    if not n:
        seen = "–" if one.verdict == "not run" else "no seed got there"
    mark = " †" if one.bounded else ""
    cells = (one.claim.says, one.claim.source, f"{one.claim.experiment}: {size}", seen + mark, str(one.claim.holds_if))
    return f"| {' | '.join(cells)} | **{one.verdict}** |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m paper_figures.claims_table", description="Judge the claims.")
    parser.add_argument("tables", nargs="+", type=Path, help="tables of experiments, from `p2pl collect`")
    parser.add_argument("--out", required=True, type=Path, help="claims.md to write")
    options = parser.parse_args()
    text = report({path.stem: results.load(path) for path in options.tables})
    write_whole(options.out, lambda file: file.write(text.encode()))


if __name__ == "__main__":
    main()
