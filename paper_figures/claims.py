"""Every claim with the rule that decides it, and `claims.md`: what the results say.

    python -m paper_figures.claims results/tables/*.parquet --out results/claims.md

The statements are in our words. [A]: stated in the paper's abstract; [S]: only in a secondary summary; [C]: our
control, which tells the claimed cause from its rivals. Seeds are paired: the two runs of a difference share data,
graph, batch orders and first draws.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from p2pl import results
from p2pl.atomic import write_whole
from p2pl.experiment import Experiment
from p2pl.verdicts import Claim, Difference, Judgement, RoundsRatio, Rule, above, below, judge, within
from paper_figures.captions import among

P2PL = "arXiv 2310.18861"
EARLY = 0.85  # test accuracy that "rounds to" speaks of


def start(graph: str, way: str) -> dict[str, str]:
    return {"arm": graph, "initialization": way}


def link(graph: str, rate: float) -> dict[str, object]:
    return {"arm": graph, "failures.rate": rate}


def starts(name: str, says: str, source: str, graph: str, ways: tuple[str, str], rule: Rule) -> Claim:
    """A claim about the ratio of rounds of two ways to start."""
    first, second = (start(graph, way) for way in ways)
    return Claim(name, says, source, "synchronization", RoundsRatio(first, second, EARLY), rule)


FASTER, EQUAL = below(0, mean=-0.3), within(0.1)

CLAIMS = (
    Claim(
        "reaches-fedavg",
        "On the complete graph every device ends within one point of federated averaging.",
        f"{P2PL} [A]",
        "topologies",
        Difference({"arm": "complete"}, {"arm": "FedAvg"}, "accuracy_min"),
        within(1),
    ),
    Claim(
        "reaches-centralized",
        "On the complete graph every device ends within one point of centralized training.",
        f"{P2PL} [A]",
        "topologies",
        Difference({"arm": "complete"}, {"arm": "centralized"}, "accuracy_min"),
        within(1),
    ),
    Claim(
        "fedavg-speed",
        "On the complete graph it takes as many rounds as federated averaging (within 7 %).",
        f"{P2PL} [S]",
        "topologies",
        RoundsRatio({"arm": "complete"}, {"arm": "FedAvg"}, EARLY),
        within(0.1),
    ),
    Claim(
        "sparse-slower",
        "A cycle needs more rounds than the complete graph.",
        f"{P2PL} [S]",
        "topologies",
        RoundsRatio({"arm": "ring"}, {"arm": "complete"}, EARLY),
        above(0),
    ),
    Claim(
        "cycle-still-gets-there",
        "On a cycle the worst device still ends less than three points below the complete graph's.",
        f"{P2PL} [S]",
        "topologies",
        Difference({"arm": "ring"}, {"arm": "complete"}, "accuracy_min"),
        above(-3),
    ),
    Claim(
        "cooperation-pays",
        "Without cooperation devices stay behind: on a cycle the worst device is three points better than alone.",
        f"{P2PL} [S]",
        "topologies",
        Difference({"arm": "ring"}, {"arm": "isolated"}, "accuracy_min"),
        above(3),
    ),
    *(
        claim
        for graph in ("Erdős–Rényi", "ring")
        for claim in (
            starts(
                f"synchronization-speeds ({graph})",
                f"Max norm synchronization speeds learning, {graph}: fewer rounds than independent starts.",
                f"{P2PL} [A]",
                graph,
                ("max_norm", "independent"),
                FASTER,
            ),
            starts(
                f"any-common-start-speeds ({graph})",
                f"So does the common start of a random leader, {graph}.",
                "[C]",
                graph,
                ("random_leader", "independent"),
                FASTER,
            ),
            starts(
                f"largest-against-smallest ({graph})",
                f"It makes no difference whether the largest or the smallest norm is elected, {graph} (within 7 %).",
                "[C]",
                graph,
                ("max_norm", "min_norm"),
                EQUAL,
            ),
            starts(
                f"largest-against-random ({graph})",
                f"It makes no difference whether the largest norm or just anybody is elected, {graph} (within 7 %).",
                "[C]",
                graph,
                ("max_norm", "random_leader"),
                EQUAL,
            ),
            Claim(
                f"half-the-links ({graph})",
                f"When half of the links fail, {graph}, it takes less than half as many rounds again.",
                f"{P2PL} [S]",
                "failures",
                RoundsRatio(link(graph, 0.5), link(graph, 0.0), EARLY),
                below(math.log2(1.5)),
            ),
        )
    ),
)
NEEDS = tuple(dict.fromkeys(claim.experiment for claim in CLAIMS))


def report(tables: Mapping[str, pd.DataFrame]) -> str:
    """claims.md: a row for each claim whose experiment is among the tables."""
    judged = [judge(claim, tables) for claim in CLAIMS if claim.experiment in tables]
    sources = {f["source"]: f for table in tables.values() for f in table.attrs["data"].values()}
    data = "; ".join(f"{name} (SHA-256 {facts['checksum'][:12]}…)" for name, facts in sources.items())
    lines = [
        "# Claims",
        "",
        " ".join((__doc__ or "").split("\n\n")[-1].split()),
        "",
        f"Data: {data}. Intervals are 95 % Student-t intervals over n seeds. `log2 rounds` is the binary logarithm",
        f"of a ratio of rounds to {100 * EARLY:g} % test accuracy: -1 means half the rounds. † The value of some seeds",
        "is only a bound, for a run ended before it got there.",
        "",
        "| claim | source | experiment | effect (95 % interval, n) | holds if | verdict |",
        "|---|---|---|---|---|---|",
        *(row(one, scale(tables[one.claim.experiment])) for one in judged),
    ]
    return "\n".join(lines) + "\n"


def scale(table: pd.DataFrame) -> str:
    """How large the runs behind a table are: a verdict speaks of these, and of no others."""
    experiments = [Experiment.of(spec) for spec in table.attrs["specs"].values()]
    devices, rounds = among(e.devices for e in experiments), among(e.rounds for e in experiments)
    return f"K = {devices}, {rounds} rounds"


def row(one: Judgement, size: str) -> str:
    mean, low, high, n = one.interval
    seen = f"{mean:+.2f} ({low:+.2f} to {high:+.2f}, {n}) {one.claim.effect.unit}"
    if not n:
        seen = "–" if one.verdict == "not run" else "no seed got there"
    mark = " †" if one.bounded else ""
    cells = (one.claim.says, one.claim.source, f"{one.claim.experiment}: {size}", seen + mark, str(one.claim.holds_if))
    return f"| {' | '.join(cells)} | **{one.verdict}** |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m paper_figures.claims", description="Judge the claims.")
    parser.add_argument("tables", nargs="+", type=Path, help="tables of experiments, from `p2pl collect`")
    parser.add_argument("--out", required=True, type=Path, help="claims.md to write")
    options = parser.parse_args()
    text = report({path.stem: results.load(path) for path in options.tables})
    write_whole(options.out, lambda file: file.write(text.encode()))


if __name__ == "__main__":
    main()
