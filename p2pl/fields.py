"""Fields of an experiment that are set to a choice and read as a checked component.

topology: Chosen = Chosen(registry.topology, "ring")

Experiment(topology={"name": "star"}).topology          # Component("star", {})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from p2pl.registry import Component, Family

Choice = str | Mapping[str, Any] | Component


class ComponentField:
    """Descriptor of a field that holds what was chosen from a family, checked when it is set."""

    def __init__(self, family: Family, default: str | None) -> None:
        self.family, self.default = family, default

    def __set_name__(self, owner: type, name: str) -> None:
        self.slot = f"_{name}"

    def short(self, component: Component) -> Any:
        """As in a spec file: the bare name where every option has its default."""
        options = self.family.entry(component.name).options
        changed = {key: value for key, value in component.options.items() if value != options[key].default}
        return {"name": component.name, **changed} if changed else component.name


class Chosen(ComponentField):
    """Set to a Choice, read as the Component; of the class: the default's name."""

    @overload
    def __get__(self, instance: None, owner: type) -> str: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Component: ...

    def __get__(self, instance: object | None, owner: type) -> Any:
        return self.default if instance is None else instance.__dict__[self.slot]

    def __set__(self, instance: object, choice: Choice) -> None:
        instance.__dict__[self.slot] = self.family.resolve(choice)


class ChosenSeveral(ComponentField):
    """Set to a Choice, a list of them, None or `none`, read as a tuple of Components; of the class: None."""

    @overload
    def __get__(self, instance: None, owner: type) -> None: ...

    @overload
    def __get__(self, instance: object, owner: type) -> tuple[Component, ...]: ...

    def __get__(self, instance: object | None, owner: type) -> Any:
        return None if instance is None else instance.__dict__[self.slot]

    def __set__(self, instance: object, choices: Choice | Sequence[Choice] | None) -> None:
        none = choices is None or choices == "none"
        several: Any = choices if isinstance(choices, list | tuple) else [] if none else [choices]
        instance.__dict__[self.slot] = tuple(self.family.resolve(one) for one in several)
