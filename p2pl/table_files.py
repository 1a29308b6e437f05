"""Tables of experiments in files, each alone or laid over another.

extends: config/config.yaml     (the path of the table below, from the working directory)
only: [long_run]                (of its experiments these alone)
experiments: ...                (laid over them, as all else)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from p2pl.registry import SpecError, did_you_mean
from p2pl.yaml_files import read_yaml


def read_table(path: str | Path, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """A table of experiments from its YAML file. Raises SpecError naming the file if it is missing or is not one.

    above: the files that extend it.
    """
    if str(path) in above:
        raise SpecError(f"{path} extends itself")
    table = read_yaml(path)
    whole = extended(table, (*above, str(path))) if isinstance(table, dict) else {}
    if not isinstance(whole.get("experiments"), dict):
        raise SpecError(f"{path} is no table of experiments: it has no key 'experiments'")
    return whole


def extended(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> dict[str, Any]:
    """A table that `extends` another file (relative to the working directory), laid over that; any other as it is.

    Of the experiments there, those named by `only` are taken, if that is given. Raises SpecError as `read_table` does,
    and if one of them is not there.
    """
    own = {key: value for key, value in table.items() if key not in ("extends", "only")}
    if "extends" not in table:
        if "only" in table:
            raise SpecError("only: there is no table to take them from: `extends` names one")
        return own
    if not isinstance(table["extends"], str):
        raise SpecError(f"extends: expected the path of a table, got {table['extends']!r}")
    below = read_table(table["extends"], above)
    if "only" in table:
        below["experiments"] = taken(table["only"], below["experiments"])
    return laid_over(below, own)


def taken(names: Any, blocks: Mapping[str, Any]) -> dict[str, Any]:
    """The blocks so named."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SpecError(f"only: expected a list of experiments, got {names!r}")
    for name in names:
        if name not in blocks:
            raise SpecError(f"only: there is no experiment '{name}'{did_you_mean(name, blocks)}")
    return {name: blocks[name] for name in names}


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both tables, `above` winning. Mappings are joined key by key, but for a component of another name, which replaces
    the one below, and null, which removes it; everything else is replaced."""
    joined = dict(below)
    for key, value in above.items():
        held = joined.get(key)
        if not isinstance(held, Mapping):
            joined[key] = value
        elif value is None:
            del joined[key]
        elif isinstance(value, Mapping) and value.get("name") in (None, held.get("name")):
            joined[key] = laid_over(held, value)
        else:
            joined[key] = value
    return joined
