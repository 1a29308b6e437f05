"""Where a run's tensors lie and its arithmetic is done: the spec's `device`, `cpu` or `cuda`.

Schedules, graphs, failures and first draws are made on the CPU from the same random streams, whatever the device: the
same run, but for rounding.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from p2pl.experiment import Experiment
from p2pl.registry import SpecError


def device_of(experiment: Experiment) -> torch.device:
    """The device of a spec. Raises SpecError if that is `cuda`, and torch finds none here."""
    wanted = experiment.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() and experiment.engine != "native" else "cpu"
    if wanted == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        built = "torch finds no CUDA device" if torch.version.cuda else "this torch is built without CUDA"
        raise SpecError(f"device: cuda: {built} here; set device: cpu, or auto (cuda where there is one)")
    return torch.device("cuda", torch.cuda.current_device())


def torch_on(device: torch.device) -> str:
    """`torch`, with the name of the accelerator that it uses, if it uses one."""
    return "torch" if device.type == "cpu" else f"torch ({device.type}: {torch.cuda.get_device_name(device)})"


def full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Convolutions keep float32's digits (no TF32), by those of cuDNN's algorithms that give the same each time."""
    if device.type == "cpu":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


def own_numbers(device: torch.device) -> AbstractContextManager[None]:
    """Modules that draw random numbers leave the caller's alone."""
    return torch.random.fork_rng(devices=[] if device.type == "cpu" else [device])


def seed_modules(number: int, device: torch.device) -> None:
    """Seeds what modules draw from in training, such as dropout."""
    torch.default_generator.manual_seed(number)
    if device.type != "cpu":
        torch.cuda.manual_seed(number)


def moved(content: Any, device: torch.device | str) -> Any:
    """Tensors, also those inside of mappings, lists and tuples, as they are, on `device`."""
    if isinstance(content, Tensor):
        return content.to(device)
    if isinstance(content, dict):
        return {key: moved(value, device) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(moved(value, device) for value in content)
    return content
