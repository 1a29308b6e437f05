"""Which engine learns on the devices: torch, or the native library where it is built and knows the model."""

from __future__ import annotations

from torch import nn

from p2pl.batched import BatchedModel
from p2pl.experiment import Experiment
from p2pl.local_data import LocalData
from p2pl.models.mlp import MLP
from p2pl.native.learner import NativeLearner
from p2pl.native.library import loaded
from p2pl.registry import SpecError
from p2pl.training import Learner, TorchLearner


def choose_learner(experiment: Experiment, module: nn.Module, model: BatchedModel, data: LocalData) -> Learner:
    """The learner of the spec's `engine`. Raises SpecError if that is native, and it cannot."""
    asked, perceptron = experiment.engine == "native", module if isinstance(module, MLP) else None
    if experiment.dtype != "float32":
        perceptron = None
    if asked and perceptron is None:
        raise SpecError(
            "engine: native learns multi-layer perceptrons in float32; this spec has model"
            f" '{experiment.model.name}' in {experiment.dtype}: set engine: auto or torch"
        )
    if perceptron and experiment.engine != "torch" and (library := loaded()):
        return NativeLearner(library, perceptron, experiment.loss, data)
    if asked:
        raise SpecError("engine: native is not built: run `p2pl build`, or set engine: auto or torch")
    return TorchLearner(model, data)
