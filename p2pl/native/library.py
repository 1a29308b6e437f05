"""The compiled library, loaded by ctypes; no torch here."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from p2pl.native import build
from p2pl.options import SpecError

SETS = ("avx512", "avx2", "portable")  # the best first
ACTIVATIONS = ("relu", "tanh", "erf", "gelu", "sigmoid", "identity")  # in the order of network.hpp
LOSSES = ("cross_entropy", "mse")

WHOLE, REAL, PLACE = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p


class Job(ctypes.Structure):
    """The structure of job.hpp, field by field."""

    _fields_ = (
        ("layers", WHOLE),
        ("widths", PLACE),
        ("scales", PLACE),
        ("bias", WHOLE),
        ("activation", WHOLE),
        ("loss", WHOLE),
        ("lr", REAL),
        ("momentum", REAL),
        ("weight_decay", REAL),
        ("nesterov", WHOLE),
        ("base", REAL),
        ("inputs", PLACE),
        ("active", PLACE),
        ("apart", PLACE),
        ("begins", PLACE),
        ("places", PLACE),
        ("classes", PLACE),
        ("values", PLACE),
        ("devices", WHOLE),
        ("parameters", WHOLE),
        ("rows", PLACE),
        ("first", PLACE),
        ("cuts", PLACE),
        ("order", PLACE),
        ("x", PLACE),
        ("velocity", PLACE),
        ("drift", PLACE),
        ("new_x", PLACE),
        ("new_velocity", PLACE),
        ("out", PLACE),
    )


class Exchange(ctypes.Structure):
    """The structure of job.hpp, field by field."""

    _fields_ = (
        *((name, WHOLE) for name in ("devices", "columns", "packets", "packet", "piece")),
        *((name, PLACE) for name in ("first", "sender", "own", "weight", "now", "then", "out")),
    )


class Selection(ctypes.Structure):
    """The structure of job.hpp, field by field."""

    _fields_ = (
        *((name, WHOLE) for name in ("rows", "columns", "parts")),
        *((name, PLACE) for name in ("sizes", "counts", "x", "out")),
    )


class Orders(ctypes.Structure):
    """The structure of job.hpp, field by field."""

    _fields_ = (
        *((name, WHOLE) for name in ("devices", "batch", "round", "known")),
        *((name, PLACE) for name in ("words", "rows", "names", "shards", "begins", "first", "order")),
    )


@dataclass(frozen=True)
class Library:
    """A loaded library, with the instruction set that it is used with. P2PL_ISA names one in place of the best."""

    handle: Any
    chosen: str

    def learn(self, job: Job) -> None:
        """Raises MemoryError if there is none for one device's scratch. Other Python threads run meanwhile."""
        if self.handle.p2pl_learn(self.chosen.encode(), ctypes.byref(job)):
            raise MemoryError("the native engine has no memory for one device's weights")

    def mix(self, exchange: Exchange) -> None:
        """Other Python threads run meanwhile."""
        self.handle.p2pl_mix(self.chosen.encode(), ctypes.byref(exchange))

    def draw(self, orders: Orders) -> None:
        """Other Python threads run meanwhile."""
        self.handle.p2pl_draw(ctypes.byref(orders))

    def turn_over(self, times: int) -> float:
        """Multiply and add in registers, `times` over; how many floating-point operations that were."""
        return float(self.handle.p2pl_turn_over(self.chosen.encode(), WHOLE(times), ctypes.byref(ctypes.c_float(0.5))))

    def select(self, selection: Selection) -> None:
        """Other Python threads run meanwhile."""
        self.handle.p2pl_select(ctypes.byref(selection))


def loaded() -> Library | None:
    """The library of these very sources; None if it is not built.

    Raises SpecError if P2PL_ISA names an instruction set that this machine lacks.
    """
    path = build.built()
    if path is None:
        return None
    handle = _handle(path)
    able = supported(handle)
    chosen = os.environ.get("P2PL_ISA") or able[0]
    if chosen not in able:
        raise SpecError(f"P2PL_ISA={chosen}: this machine can do {', '.join(able)}")
    return Library(handle, chosen)


def supported(handle: ctypes.CDLL) -> list[str]:
    """The instruction sets that this machine has, the best first."""
    return [name for name in SETS if handle.p2pl_supports(name.encode())]


@cache
def _handle(path: Path) -> ctypes.CDLL:
    handle = ctypes.CDLL(str(path))
    handle.p2pl_turn_over.restype = REAL
    return handle
