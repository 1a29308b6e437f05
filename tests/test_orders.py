"""The library draws the orders of samples that NumPy draws."""

import numpy as np
import pytest
import torch

from p2pl.groups import Training
from p2pl.local_data import LocalData
from p2pl.native.learner import Schedules
from p2pl.native.library import Job

SIZES = [400, 1, 29, 30, 31, 7, 8, 2]  # around the batches, and one device whose shard takes nine bits to be drawn from


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**40 + 5, 2**140 + 3])
@pytest.mark.parametrize(
    "training",
    [
        {"batch_size": 16, "steps": 1},
        {"batch_size": 30, "steps": 5},
        {"batch_size": 7, "epochs": 3},
        {"batch_size": "full", "steps": 2},
    ],
    ids=str,
)
def test_orders_are_those_of_numpy(seed, training, libraries):
    rows = np.random.default_rng(1).permutation(sum(SIZES))
    shards = np.split(rows, np.cumsum(SIZES)[:-1])
    data = LocalData(torch.zeros(len(rows), 1), torch.zeros(len(rows)), shards, Training(**training), seed)
    data.names = data.names[::-1].copy()  # as they are drawn for others
    schedules = Schedules(libraries[0], data, Job())
    for devices in (np.arange(len(SIZES)), np.array([3, 0, 5])):
        for number in (1, 2, 39_200):
            schedules.draw(devices, number)
            orders, cuts = zip(*(data.schedule(int(device), number) for device in devices), strict=True)
            np.testing.assert_array_equal(schedules.arrays["order"], np.concatenate(orders))
            assert np.diff(schedules.arrays["cuts"]).tolist() == [n for part in cuts for n in np.diff(part)]
            assert np.diff(schedules.arrays["first"]).tolist() == [len(part) - 1 for part in cuts]
