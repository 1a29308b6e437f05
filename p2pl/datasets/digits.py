"""scikit-learn's handwritten digits: small enough for tests and smoke runs."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np

from p2pl.data import Dataset, image_dataset, rank_in_class
from p2pl.registry import SpecError, dataset


@dataset
def digits(normalize: bool = False) -> Dataset:
    """1,797 handwritten digits of 8 x 8 pixels, embedded in scikit-learn: 1,442 for training, 355 for test.

    Every fifth image of each class is for test. Inputs (N, 1, 8, 8). Source: E. Alpaydin, C. Kaynak, "Optical
    Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
    """
    # The file that load_digits reads: importing sklearn.datasets for it takes 1.5 s in every process.
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise SpecError("dataset 'digits' is part of scikit-learn, which is not installed: pip install scikit-learn")
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    pixels, labels = table[:, :-1].astype(np.uint8).reshape(-1, 1, 8, 8), table[:, -1]
    test = rank_in_class(labels) % 5 == 4
    return image_dataset(
        "digits",
        "UCI optical digits, the 1,797 test images, as in scikit-learn",
        (pixels[~test], labels[~test]),
        (pixels[test], labels[test]),
        white=16,
        normalize=normalize,
    )
