"""python -m paper_figures FIGURE TABLE... --out FIGURE.pdf

Draws one figure from the tables of its experiments: a PDF, a PNG beside it, and its caption as FIGURE.rst.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from p2pl import results
from paper_figures import style
from paper_figures.captions import caption


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m paper_figures", description="Draw one figure from its results.")
    parser.add_argument("figure", help="its file's name without .py, e.g. fig01_topologies")
    parser.add_argument("tables", nargs="+", type=Path, help="tables of its experiments, from `p2pl collect`")
    parser.add_argument("--out", required=True, type=Path, help="PDF to write")
    options = parser.parse_args()
    figure, text = draw(options.figure, {path.stem: results.load(path) for path in options.tables})
    save(figure, text, options.out)


def draw(name: str, tables: dict[str, pd.DataFrame]) -> tuple[Figure, str]:
    """The figure and its caption. tables: results by experiment, with their metadata in `attrs`."""
    module = importlib.import_module(f"paper_figures.{name}")
    with style.paper():
        return module.draw(tables), caption(module.__doc__ or "", tables)


def save(figure: Figure, text: str, pdf: Path) -> None:
    """Write the PDF, PNG and caption. Nothing in them depends on the date: same results, same bytes."""
    pdf.parent.mkdir(parents=True, exist_ok=True)
    with style.paper():  # ticks and texts take their style when they are laid out
        settle(figure)
        figure.savefig(pdf, metadata={"CreationDate": None})
        figure.savefig(pdf.with_suffix(".png"), dpi=200)
    pdf.with_suffix(".rst").write_text(text + "\n", encoding="utf-8")


def settle(figure: Figure) -> None:
    """Lay a figure out once and round the places of its parts: the last digits of the solver vary from run to run."""
    figure.draw_without_rendering()
    parts = list(figure.subfigs)
    while parts:
        part = parts.pop()
        parts += part.subfigs
        part.bbox_relative.p0, part.bbox_relative.p1 = part.bbox_relative.p0.round(4), part.bbox_relative.p1.round(4)
    for ax in figure.axes:
        ax.set_position(tuple(round(edge, 4) for edge in ax.get_position(original=True).bounds))
    figure.set_layout_engine("none")


if __name__ == "__main__":
    main()
