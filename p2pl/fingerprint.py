"""What the code does, as a short hash: Snakemake re-runs a job when the fingerprint in its `params` has changed.

Comments, docstrings and layout do not count. Of our own modules, those count that a job imports, directly or through
others; of a registered component's file, the component itself and its helpers, not its siblings. C++ sources count, as
they are, with the Python beside them. So an edit of the engine's logic re-runs what it touches, and a comment, or one
more topology, re-runs nothing.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from p2pl.experiment import Experiment
from p2pl.registry import FAMILIES, Family

ROOT = Path(__file__).parent.parent
PACKAGES = ("p2pl", "paper_figures", "theory")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def of_experiment(experiment: Experiment, start: str = "p2pl/run.py") -> str:
    """Twelve hexadecimal digits for all the code that a run of `experiment`, or whatever `start` does, executes."""
    parts = [of_files(start)]
    parts += [of_component(family, component.name) for family, component in experiment.components]
    return _short(*parts)


@cache
def of_component(family: Family, name: str) -> str:
    """The same for one registered component and what its file needs of other modules."""
    entry = family.entry(name)
    tree = _without_siblings(_parsed(entry.path), entry.traits["function"], _registered(entry.path))
    others = _closure(frozenset(_imports(tree, entry.path)))
    return _short(ast.dump(tree), *(_behaviour(path) for path in sorted(others)))


@cache
def of_files(*paths: str) -> str:
    """The same for files, named relative to the repository, and all of our modules that they import.

    Files that are not Python count as they are.
    """
    files = [ROOT / path for path in paths]
    return _short(*(_behaviour(path) for path in sorted(_closure(frozenset(files)))))


@cache
def of_figure(name: str) -> str:
    """The same for a figure of `paper_figures`; its docstring counts, for it is the caption."""
    path = f"paper_figures/{name}.py"
    caption = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))) or ""
    return _short(caption, of_files(path, "paper_figures/__main__.py", "paper_figures/paper.mplstyle"))


def _short(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


@cache
def _parsed(path: Path) -> ast.Module:
    """The syntax tree of a file without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | Definition) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return tree


@cache
def _behaviour(path: Path) -> str:
    return ast.dump(_parsed(path)) if path.suffix == ".py" else path.read_text(encoding="utf-8")


@cache
def _registered(path: Path) -> frozenset[str]:
    """The functions and classes of a file that are registered components."""
    entries = (entry for family in FAMILIES for entry in family.entries.values())
    return frozenset(entry.traits["function"] for entry in entries if entry.path == path)


def _without_siblings(tree: ast.Module, wanted: str, registered: frozenset[str]) -> ast.Module:
    """The tree with only those registered definitions that `wanted`, or a helper in the file, refers to."""
    kept = {wanted}
    while True:
        body = [node for node in tree.body if not (isinstance(node, Definition) and node.name in registered - kept)]
        used = {name.id for node in body for name in ast.walk(node) if isinstance(name, ast.Name)} & registered
        if used <= kept:
            return ast.Module(body=body, type_ignores=[])
        kept |= used


@cache
def _closure(files: frozenset[Path]) -> frozenset[Path]:
    """The files and all of our modules that they import, directly or through others."""
    found: set[Path] = set()
    waiting = set(files)
    while waiting:
        path = waiting.pop()
        found.add(path)
        if path.suffix == ".py":
            waiting |= _imported_by(path) - found
    return frozenset(found)


@cache
def _imported_by(path: Path) -> frozenset[Path]:
    return frozenset(_imports(_parsed(path), path)) | frozenset(path.parent.glob("*.[ch]pp"))


def _imports(tree: ast.Module, path: Path) -> Iterator[Path]:
    """Our modules that a tree imports, inside functions too, but not for a type checker only."""
    skipped = {id(inner) for node in ast.walk(tree) if _is_type_checking(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (file for alias in node.names if (file := _file(alias.name)))
        elif isinstance(node, ast.ImportFrom):
            above = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            files = (_file(f"{module}.{alias.name}") or _file(module) for alias in node.names)
            yield from (file for file in files if file)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _file(module: str) -> Path | None:
    """The file of one of our modules; None for any other name."""
    if module.split(".")[0] not in PACKAGES:
        return None
    base = ROOT.joinpath(*module.split("."))
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)
