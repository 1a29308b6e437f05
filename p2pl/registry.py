"""Every part that a user may add is a function (or a frozen dataclass) in a file of its family's folder.

    # p2pl/topologies/wheel.py
    @topology
    def wheel(devices: int, hub: int = 0) -> nx.Graph:
        '''A hub joined to every device of a cycle.'''

That file alone makes `topology: {name: wheel, hub: 2}` a valid line of a spec, with `p2pl list`, the did-you-mean and
the laws of `tests/` following. The signature is the schema: parameters that the program supplies (`Family.given`) are
left out, the others are options, checked against their annotations.

Folders are *read*, not imported: names, options and docstrings come from the syntax tree, so that a Snakefile with
thousands of runs is validated without importing torch. A file is imported when something in it is used.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, overload

from p2pl.options import (
    Count,
    Natural,
    NonNegative,
    Positive,
    Probability,
    SpecError,
    canonical,
    did_you_mean,
    expected,
)

# A component's file needs this module alone: the families, and the kinds of numbers for its options.
__all__ = ["FAMILIES", "Component", "Count", "Entry", "Family", "Natural", "NonNegative", "Option", "Positive"]
__all__ += ["Probability", "SpecError", "algorithm", "compressor", "dataset", "did_you_mean", "failure"]
__all__ += ["initialization", "mixing", "model", "partition", "schedule", "sizes", "topology"]

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Option:
    """One option of a component: its annotation as written and its default (`required` if it has none)."""

    name: str
    annotation: str
    default: Any
    required: bool


@dataclass(frozen=True)
class Entry:
    """What is known of a registered component from its source, before it is imported."""

    name: str
    module: str
    path: Path
    doc: str
    given: tuple[str, ...]
    options: dict[str, Option]
    traits: dict[str, Any]


@dataclass(frozen=True)
class Component:
    """A checked choice from a family: its name and every option with its value, defaults filled in."""

    name: str
    options: Mapping[str, Any]

    def __hash__(self) -> int:
        return hash((self.name, repr(sorted(self.options.items()))))


@dataclass(frozen=True)
class Family:
    """A kind of component: the folder it is looked for in, its decorator, and the parameters the program supplies.

    Keyword arguments of the decorator are `traits`: constants that the program reads without importing the file,
    such as `@mixing(stochastic="row")`.
    """

    kind: str
    folder: str
    given: tuple[str, ...] = ()

    @overload
    def __call__(self, target: T) -> T: ...

    @overload
    def __call__(self, target: None = None, **traits: Any) -> Callable[[T], T]: ...

    def __call__(self, target: T | None = None, **traits: Any) -> T | Callable[[T], T]:
        """The decorator. It returns its target unchanged: registration is by being found in the folder."""
        return (lambda later: later) if target is None else target

    @property
    def decorator(self) -> str:
        return self.kind.replace(" ", "_")

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Every component of the folder by name, read from the syntax trees of its files.

        Raises SpecError if two files register one name.
        """
        package = Path(__file__).parent / self.folder
        found: dict[str, Entry] = {}
        for path in sorted(package.glob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8"), filename=str(path)).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    traits = self._traits(node)
                    if traits is not None:
                        name = traits.pop("name", node.name)
                        if name in found:
                            raise SpecError(f"{self.kind} '{name}' is in both {found[name].path.name} and {path.name}")
                        found[name] = self._entry(name, node, path, traits)
        return found

    def _traits(self, node: ast.FunctionDef | ast.ClassDef) -> dict[str, Any] | None:
        """The keyword arguments of this family's decorator on `node`; None if it does not carry it."""
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            if ast.unparse(call.func if call else decorator) == self.decorator:
                return {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg} if call else {}
        return None

    def _entry(self, name: str, node: ast.FunctionDef | ast.ClassDef, path: Path, traits: dict[str, Any]) -> Entry:
        options = _fields(node) if isinstance(node, ast.ClassDef) else _parameters(node)
        doc = (ast.get_docstring(node) or "").strip()
        module = f"{__package__}.{self.folder}.{path.stem}"
        return Entry(
            name=name,
            module=module,
            path=path,
            doc=doc.split("\n")[0],
            given=tuple(option for option in options if option in self.given),
            options={key: option for key, option in options.items() if key not in self.given},
            traits={"function": node.name, **traits},
        )

    def entry(self, name: str) -> Entry:
        """Raises SpecError with a did-you-mean if there is no such component."""
        if name not in self.entries:
            raise SpecError(f"there is no {self.kind} '{name}'{did_you_mean(name, self.entries)}")
        return self.entries[name]

    def resolve(self, choice: str | Mapping[str, Any] | Component) -> Component:
        """A name, or a mapping with `name` and options, as a checked Component with defaults filled in.

        Raises SpecError for an unknown name or option, a missing option, or a value of the wrong kind.
        """
        if isinstance(choice, Component):
            choice = {"name": choice.name, **choice.options}
        if isinstance(choice, str):
            choice = {"name": choice}
        if not isinstance(choice, Mapping) or not isinstance(choice.get("name"), str):
            raise SpecError(f"{self.kind}: expected a name or a mapping with 'name', got {choice!r}")
        entry = self.entry(choice["name"])
        where = f"{self.kind} '{entry.name}'"
        options: dict[str, Any] = {}
        for key, value in choice.items():
            if key == "name":
                continue
            if key not in entry.options:
                raise SpecError(f"{where} has no option '{key}'{did_you_mean(key, entry.options)}")
            problem = expected(entry.options[key].annotation, value)
            if problem:
                raise SpecError(f"{where}, option '{key}': expected {problem}, got {value!r}")
            options[key] = canonical(entry.options[key].annotation, value)
        for key, option in entry.options.items():
            if option.required and key not in options:
                raise SpecError(f"{where} needs the option '{key}' ({option.annotation})")
            options.setdefault(key, option.default)
        return Component(entry.name, dict(sorted(options.items())))

    def load(self, name: str) -> Callable[..., Any]:
        """The function or class itself; its file is imported now."""
        entry = self.entry(name)
        return getattr(importlib.import_module(entry.module), entry.traits["function"])  # type: ignore[no-any-return]

    def call(self, choice: str | Mapping[str, Any] | Component, **given: Any) -> Any:
        """Call the chosen component with its options and those of `given` that its signature asks for."""
        return self.bound(choice)(**given)

    def bound(self, choice: str | Mapping[str, Any] | Component) -> Callable[..., Any]:
        """The same for what is called again and again: the component, checked once, to be called with `given`."""
        component = self.resolve(choice)
        function, wanted = self.load(component.name), self.entry(component.name).given
        return lambda **given: function(**{key: given[key] for key in wanted}, **component.options)


def _parameters(node: ast.FunctionDef) -> dict[str, Option]:
    arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
    positional = len(arguments) - len(node.args.kwonlyargs)
    defaults: list[ast.expr | None] = [None] * (positional - len(node.args.defaults)) + list(node.args.defaults)
    defaults += node.args.kw_defaults
    return {a.arg: _option(a.arg, a.annotation, d) for a, d in zip(arguments, defaults, strict=True)}


def _fields(node: ast.ClassDef) -> dict[str, Option]:
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    return {
        field.target.id: _option(field.target.id, field.annotation, field.value)
        for field in fields
        if isinstance(field.target, ast.Name) and "ClassVar" not in ast.unparse(field.annotation)
    }


def _option(name: str, annotation: ast.expr | None, default: ast.expr | None) -> Option:
    written = "None" if annotation is None else ast.unparse(annotation)
    value = None if default is None else canonical(written, ast.literal_eval(default))
    return Option(name, written, value, default is None)


topology = Family("topology", "topologies", given=("devices", "rng", "step"))
mixing = Family("mixing", "mixing", given=("graph", "sizes"))
partition = Family("partition", "partitions", given=("labels", "sizes", "rng"))
sizes = Family("sizes", "sizes", given=("samples", "devices", "rng"))
failure = Family("failure", "failures", given=("links", "devices", "moment", "rng"))
dataset = Family("dataset", "datasets", given=("root", "rng"))
model = Family("model", "models", given=("inputs", "outputs"))
initialization = Family("initialization", "initializations", given=("draws", "channel", "rng"))
algorithm = Family("algorithm", "algorithms")
compressor = Family("compressor", "compressors", given=("x", "layers", "rng", "largest"))
schedule = Family("schedule", "schedules", given=("done",))

FAMILIES = (
    *(dataset, partition, sizes, model, topology, mixing, initialization, failure),
    *(algorithm, compressor, schedule),
)
