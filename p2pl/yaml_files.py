"""YAML as a person means it: a key given twice is an error, and what is wrong is said in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from p2pl.registry import SpecError


class Loader(yaml.SafeLoader):
    """YAML's safe loader; the plain one lets the last of two equal keys win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        named = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]  # `<<: *anchor`
        keys = [self.construct_object(key, deep=True) for key in named]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise SpecError(f"the key '{twice[0]}' is given twice{node.start_mark}")
        return super().construct_mapping(node, deep)


# YAML 1.1 takes `1e-05` for a word; JSON, which we pass to ourselves, and YAML 1.2 for the number that it is.
Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]?\d+$"), list("-+0123456789"))


def parse_yaml(text: str, where: str) -> Any:
    """The content of YAML text. Raises SpecError naming `where` if it is not YAML."""
    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as problem:
        said = " ".join(str(problem).split())
        raise SpecError(said if isinstance(problem, SpecError) else f"{where} is not YAML: {said}") from None


def read_yaml(path: str | Path) -> Any:
    """The content of a YAML file. Raises SpecError naming the file if it is missing or is not YAML."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as problem:
        raise SpecError(f"cannot read {path}: {problem.strerror or problem}") from None
    except UnicodeDecodeError as problem:
        raise SpecError(f"{path} is not YAML: {problem}") from None
    return parse_yaml(text, str(path))
