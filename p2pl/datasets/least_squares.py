"""A linear regression whose optimum is known: for exact tests of algorithms."""

from __future__ import annotations

import numpy as np

from p2pl.data import Array, Dataset, checksum
from p2pl.registry import Count, Natural, NonNegative, SpecError, dataset
from p2pl.seeds import stream


@dataset(regression=True)
def least_squares(
    dimension: Count = 10,
    samples: Count = 320,
    groups: Count = 1,
    heterogeneity: NonNegative = 0.0,
    noise: NonNegative = 0.0,
    seed: Natural = 0,
) -> Dataset:
    """Targets y = x . w_g + noise of standard normal inputs x; use it with `model: linear` and `loss: mse`.

    Group g has its own optimum w_g = w + heterogeneity * z_g, with w and z_g standard normal. `labels` are the groups
    (equal in size, within one), so that `partition: {name: classes, per_device: 1}` makes devices that disagree.
    float64: x (N, dimension), y (N, 1). The test set is the training set: the measured loss is the objective itself,
    and its minimizer over all samples is `optimum(dataset)`.

    Raises SpecError if there are fewer samples than groups, or than dimensions (the optimum would not be unique).
    """
    if samples < max(groups, dimension):
        raise SpecError(
            f"dataset 'least_squares': {samples} samples are too few for {groups} groups in {dimension} dimensions; "
            f"at least {max(groups, dimension)} are needed"
        )
    rng = stream(seed, "data")
    labels = np.arange(samples) * groups // samples
    weights = rng.standard_normal(dimension) + heterogeneity * rng.standard_normal((groups, dimension))
    x = rng.standard_normal((samples, dimension))
    y = (x * weights[labels]).sum(1, keepdims=True) + noise * rng.standard_normal((samples, 1))
    return Dataset(
        name="least_squares",
        source=f"synthetic least squares, seed {seed}",
        checksum=checksum(x, y, labels),
        x_train=x,
        y_train=y,
        x_test=x,
        y_test=y,
        classes=1,
        labels=labels,
        regression=True,
    )


def optimum(data: Dataset) -> Array:
    """The weights (dimension, 1) of a linear model without bias that minimize the squared error on the training set.

    Without heterogeneity and noise the error there is 0.
    """
    solution: Array = np.linalg.lstsq(data.x_train, data.y_train, rcond=None)[0]
    return solution
