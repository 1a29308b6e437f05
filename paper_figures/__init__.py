"""Figures of results, one file each: a docstring that is the caption, NEEDS, and draw(results) -> Figure.

    # paper_figures/fig09_wheels.py
    '''**Wheels.** Test accuracy of {devices} devices on {data}; {runs}, {band}.'''
    NEEDS = ("wheels",)                                    # experiments of the table

    def draw(results: dict[str, pd.DataFrame]) -> Figure:  # by experiment; see `paper_figures.style`
        ...

That file alone makes `snakemake results/figures/fig09_wheels.pdf` work, and the figure part of the report. Figures
read results and never torch.
"""

from __future__ import annotations

import ast
from pathlib import Path

FOLDER = Path(__file__).parent


def needs() -> dict[str, tuple[str, ...]]:
    """Every figure with the experiments it needs, read from the syntax trees of the files `fig*.py`.

    Raises ValueError naming a file without NEEDS.
    """
    found = {}
    for path in sorted(FOLDER.glob("fig*.py")):
        body = ast.parse(path.read_text(encoding="utf-8"), filename=str(path)).body
        constants = {ast.unparse(node.targets[0]): node.value for node in body if isinstance(node, ast.Assign)}
        if "NEEDS" not in constants:
            raise ValueError(f"{path.name} does not say which experiments it NEEDS")
        found[path.stem] = tuple(ast.literal_eval(constants["NEEDS"]))
    return found
