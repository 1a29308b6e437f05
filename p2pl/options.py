"""The vocabulary in which components annotate their options, and how values are held against it.

    def erdos_renyi(devices: int, rng: Generator, p: Probability | None = None) -> nx.Graph

To a type checker `Probability` is a float; to a spec it says what is allowed and what the error will read.
"""

from __future__ import annotations

import ast
import difflib
import numbers
import operator
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Annotated, Any

# Kinds of numbers that options may be annotated with. To a type checker they are plain int and float.
Count = Annotated[int, "an integer of at least 1"]
Natural = Annotated[int, "an integer of at least 0"]
Positive = Annotated[float, "a number above 0"]
NonNegative = Annotated[float, "a number of at least 0"]
Probability = Annotated[float, "a number from 0 to 1"]


class SpecError(ValueError):
    """A spec that cannot run: an unknown name, a wrong type or range, an impossible combination."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error message: the closest known word, if any is close, then all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    guess = f"; did you mean '{close[0]}'?" if close else "."
    return f"{guess} Known: {', '.join(known) or 'none'}"


LARGEST = 3e38


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    """Whether a finite number, and one that float32 can hold: others would overflow in training."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and abs(value) < LARGEST  # type: ignore[operator]


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "int": (_is_integer, "an integer"),
    "float": (_is_number, "a number"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "str": (lambda value: isinstance(value, str), "a word"),
    "Count": (lambda value: _is_integer(value) and value >= 1, "an integer of at least 1"),
    "Natural": (lambda value: _is_integer(value) and value >= 0, "an integer of at least 0"),
    "Positive": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    "NonNegative": (lambda value: _is_number(value) and value >= 0, "a number of at least 0"),
    "Probability": (lambda value: _is_number(value) and 0 <= value <= 1, "a number from 0 to 1"),
}


def expected(annotation: str, value: Any) -> str | None:
    """None if `value` fits the annotation (as written in the source), else what was expected, in words.

    Understands the names of `_CHECKS`, `list[...]`, `Literal[...]`, `None` and unions of these.
    """
    return _mismatch(_parsed(annotation), value)


@cache
def _parsed(annotation: str) -> ast.expr:
    return ast.parse(annotation, mode="eval").body


def canonical(annotation: str, value: Any) -> Any:
    """A value that fits, as plain data: NumPy's numbers as Python's, 1 as 1.0 where a float is meant, tuples as lists.

    Runs that are equal are then written, and hashed, alike.
    """
    if isinstance(value, list | tuple):
        return [canonical(annotation, item) for item in value]
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    names = {node.id for node in ast.walk(_parsed(annotation)) if isinstance(node, ast.Name)}
    return float(value) if names & {"float", "Positive", "NonNegative", "Probability"} else operator.index(value)  # type: ignore[arg-type]


def _mismatch(node: ast.expr, value: Any) -> str | None:
    if isinstance(node, ast.Constant) and node.value is None:
        return None if value is None else "nothing (null)"
    if isinstance(node, ast.BinOp):  # a union, X | Y
        problems = [_mismatch(side, value) for side in (node.left, node.right)]
        return None if None in problems else " or ".join(p for p in problems if p)
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "list":
        if not isinstance(value, list | tuple):
            return "a list"
        problem = next((p for item in value if (p := _mismatch(node.slice, item))), None)
        return problem and f"a list, each entry {problem}"
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
        words = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        allowed = [ast.literal_eval(word) for word in words]
        return None if value in allowed else "one of " + ", ".join(map(str, allowed))
    fits, wanted = _CHECKS[ast.unparse(node)]
    return None if fits(value) else wanted + _yaml_hint(value)


def _yaml_hint(value: Any) -> str:
    """YAML takes `1e-3` for a word, and only `1.0e-3` for a number: a trap worth a hint."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value):
        return f" (in YAML write {value.lower().replace('e', '.0e')}: without the point it is a word)"
    return ""
