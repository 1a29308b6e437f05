"""CIFAR-10, from its archive or from a prepared `cifar10.npz`."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np

from p2pl.data import Array, Dataset, image_dataset
from p2pl.datasets._archives import read_archives
from p2pl.registry import SpecError, dataset

ARCHIVE = "cifar-10-python.tar.gz"
PUBLISHED_MD5 = "c58f30108f718f92721af3b95e74349a"
BATCHES = ([f"data_batch_{i}" for i in range(1, 6)], ["test_batch"])
KEYS = ("x_train", "y_train", "x_test", "y_test")

# The npz without the 93 images that could not be had without loss: its rows, and the SHA-256 of the bytes of KEYS.
LESS_93_ROWS = (49_927, 9_980)
LESS_93 = (
    "8530c5a08760e175ba180811f157bc4aa6b6e7f4c56b5e8393056ec905bbc775",
    "35611e985a10d9459a98fcdc48e3b6807b113cde66b7b1dac7393770717365fc",
    "2c99519ba1b6a4e26398331726853d04d86a9a82ba0ced2fc8f58a09d8a7446a",
    "ab65b238c81e4a69f393a6171c6b9ec7cf525ec5b6a17a895729ca01f9b5625d",
)


@dataset(files="cifar*10*[pg]z")
def cifar10(root: Path, normalize: bool = False) -> Dataset:
    """CIFAR-10: 50,000 + 10,000 colour images of 32 x 32 pixels in 10 classes (Krizhevsky, 2009).

    Inputs (N, 3, 32, 32). Read from `cifar10.npz` if that is there (x_train uint8 (N, 32, 32, 3), y_train, x_test,
    y_test), else from the published archive `cifar-10-python.tar.gz`, which is downloaded if it is missing. `source`
    says which: an npz of 49,927 + 9,980 images is "CIFAR-10 less 93 images". SpecError if a file is damaged, or if
    there is none and no network.
    """
    prepared = root / "cifar10.npz"
    if prepared.exists():
        x_train, y_train, x_test, y_test = _read_npz(prepared)
        source = _source(x_train, y_train, x_test, y_test, prepared)
        pixels = [np.ascontiguousarray(x.transpose(0, 3, 1, 2)) for x in (x_train, x_test)]
        return image_dataset("cifar10", source, (pixels[0], y_train), (pixels[1], y_test), normalize=normalize)
    content = read_archives(root, {ARCHIVE: PUBLISHED_MD5}, "CIFAR10")[ARCHIVE]
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        train, test = (_read_batches(archive, names) for names in BATCHES)
    return image_dataset("cifar10", "CIFAR-10, the published archive", train, test, normalize=normalize)


def _read_npz(path: Path) -> list[Array]:
    """x_train, y_train, x_test, y_test. Raises SpecError if they cannot be read or are not of the form stated above."""
    try:
        # Opened here, because numpy leaves the file open if it is not a zip.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays: list[Array] = [file[key] for key in KEYS]
    except Exception as error:  # zipfile compares CRCs; damage elsewhere makes it raise almost anything
        raise SpecError(f"{path} is damaged, or not what it should be ({error}). Replace it or delete it") from error
    for x, y in (arrays[:2], arrays[2:]):
        if x.dtype != np.uint8 or x.ndim != 4 or x.shape[1:] != (32, 32, 3) or y.shape != x.shape[:1]:
            raise SpecError(
                f"{path}: expected images uint8 (N, 32, 32, 3) with labels (N,), got {x.dtype} {x.shape} "
                f"with labels {y.shape}"
            )
    return arrays


def _source(x_train: Array, y_train: Array, x_test: Array, y_test: Array, path: Path) -> str:
    if (len(x_train), len(x_test)) != LESS_93_ROWS:
        return f"cifar10.npz as found, {len(x_train):,} + {len(x_test):,} images, not the published archive"
    for key, array, expected in zip(KEYS, (x_train, y_train, x_test, y_test), LESS_93, strict=True):
        if hashlib.sha256(np.ascontiguousarray(array).data).hexdigest() != expected:
            raise SpecError(f"{path} is damaged: the checksum of {key} is not that of CIFAR-10 less 93 images")
    return "CIFAR-10 less 93 images"


def _read_batches(archive: tarfile.TarFile, names: list[str]) -> tuple[Array, Array]:
    """Pixels (N, 3, 32, 32) and labels (N,) of the pickled batches, whose archive has been verified."""
    members = [archive.extractfile(f"cifar-10-batches-py/{name}") for name in names]
    batches = [pickle.load(member, encoding="latin1") for member in members if member]
    pixels = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return pixels, np.concatenate([np.asarray(batch["labels"], dtype=np.int64) for batch in batches])
