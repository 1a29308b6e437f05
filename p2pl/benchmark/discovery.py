"""Who takes part in a benchmark: every file of `p2pl/benchmark/peers/`, and every `benchmarks/*_peer.py`.

A peer's file has a dictionary PEERS of names and of what makes a `Peer` of a `Material`; nothing else is to be edited.
A file that cannot be imported, because what it measures is not installed, and a peer that cannot do a tiny job are
reported with the reason.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Protocol, runtime_checkable

from torch import Tensor

from p2pl.benchmark.job import Job, Material
from p2pl.registry import SpecError, did_you_mean

OWN = Path(__file__).parent / "peers"
OTHERS = Path(__file__).parent.parent.parent / "benchmarks"  # in the repository; not installed with the package
TINY = Job(devices=3, hidden=(4,), samples=20, tests=10)


class Peer(Protocol):
    """K devices of a material, each with its own parameters and velocity, which go on from call to call.

    differs: in which points it does not do the job, or does another; empty if it is the job to the last step.
    """

    differs: ClassVar[str]

    def epoch(self) -> None:
        """One pass of every device over its samples, by SGD with momentum."""
        ...

    def mix(self) -> None:
        """Every device's parameters become the weighted mean of its own and its neighbours'; velocities stay."""
        ...

    def parameters(self) -> Tensor:
        """(K, P), in the order of `Material.draws`."""
        ...


@runtime_checkable
class Evaluating(Peer, Protocol):
    """One whose whole rounds can be compared, too."""

    def evaluate(self) -> object:
        """Loss and accuracy on all test images, of each device's model and of the average of them."""
        ...


@runtime_checkable
class Whole(Peer, Protocol):
    """One that has a round of its own, which is more than its parts, such as a simulator with messages and a clock."""

    def round(self) -> None:
        """An epoch and a mixing, as those who use it run them."""
        ...


Maker = Callable[[Material], Peer]


@dataclass(frozen=True)
class Found:
    """Peers that can do the job; in what each differs (see `Peer`); those that cannot: name -> reason."""

    makers: Mapping[str, Maker]
    missing: Mapping[str, str]
    differs: Mapping[str, str]


def find(only: list[str] | None = None, others: Path | None = None) -> Found:
    """All peers, or those named. others: the folder of those that are not ours. SpecError for a name no file has."""
    makers, missing = declared(others)
    known = [*makers, *missing]
    for name in only or ():
        if name not in known:
            raise SpecError(f"there is no engine or peer '{name}' to time{did_you_mean(name, known)}")
    material = Material(TINY)
    able: dict[str, Maker] = {}
    differs: dict[str, str] = {}
    for name, maker in makers.items():
        if only is None or name in only:
            try:
                differs[name] = tried(maker, material)
                able[name] = maker
            except Unable as problem:
                missing[name] = str(problem)
    return Found(able, {name: why for name, why in missing.items() if only is None or name in only}, differs)


def declared(others: Path | None = None) -> tuple[dict[str, Maker], dict[str, str]]:
    """What the files declare, and which of them cannot be imported, with the reason."""
    others = OTHERS if others is None else others
    makers: dict[str, Maker] = {}
    missing: dict[str, str] = {}
    for path in [*sorted(OWN.glob("[!_]*.py")), *sorted(others.glob("*_peer.py"))]:
        try:
            makers |= imported(path).PEERS
        except ImportError as problem:
            missing[path.stem.removesuffix("_peer")] = f"not installed: {problem}"
    if not others.is_dir():
        missing["other frameworks"] = f"not found: their adapters are in the repository's folder {others.name}/"
    return makers, missing


def imported(path: Path) -> ModuleType:
    """The module of a peer's file, one of ours or one that belongs to no package."""
    if path.parent == OWN:
        return importlib.import_module(f"{__package__}.peers.{path.stem}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Unable(Exception):
    """Why a peer cannot do the job."""


def tried(maker: Maker, material: Material) -> str:
    """In what a peer that has done a tiny job differs. Raises Unable if it could not."""
    try:
        peer = maker(material)
        peer.epoch()
        peer.mix()
        if isinstance(peer, Evaluating):
            peer.evaluate()
        if isinstance(peer, Whole):
            peer.round()
        found = tuple(peer.parameters().shape)
    except ImportError as problem:
        raise Unable(f"not installed: {problem}") from None
    except SpecError as problem:
        raise Unable(f"not available: {problem}") from None
    except Exception as problem:  # another version of a framework may fail in any way
        raise Unable(f"failed: {type(problem).__name__}: {problem}") from problem
    wanted = tuple(material.draws.shape)
    if found != wanted:
        raise Unable(f"failed: its parameters are {found}, not {wanted}")
    return peer.differs
