"""MNIST and the two sets that share its form: 60,000 + 10,000 grey images of 28 x 28 pixels in 10 classes."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from p2pl.data import Array, Dataset, image_dataset
from p2pl.datasets._archives import read_archives
from p2pl.registry import dataset

FILES = [f"{split}-{kind}-ubyte.gz" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]

# MD5 of FILES, in order, by the folder (and class) name of torchvision, which states the same.
PUBLISHED = {
    "MNIST": [
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ],
    "FashionMNIST": [
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ],
    "KMNIST": [
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ],
}


@dataset(files="MNIST/raw/train-images-idx3-ubyte.gz")
def mnist(root: Path, normalize: bool = False) -> Dataset:
    """MNIST: 60,000 + 10,000 handwritten digits (LeCun et al., 1998), from the four .gz files in `MNIST/raw`.

    Inputs (N, 1, 28, 28). The files are downloaded if they are missing; SpecError if one is damaged, or if there is no
    network.
    """
    return _idx_dataset("mnist", root, "MNIST", normalize)


@dataset(files="FashionMNIST/raw/train-images-idx3-ubyte.gz")
def fashion_mnist(root: Path, normalize: bool = False) -> Dataset:
    """Fashion-MNIST: 60,000 + 10,000 articles of clothing (Xiao et al., 2017), from `FashionMNIST/raw`; as `mnist`."""
    return _idx_dataset("fashion_mnist", root, "FashionMNIST", normalize)


@dataset(files="KMNIST/raw/train-images-idx3-ubyte.gz")
def kmnist(root: Path, normalize: bool = False) -> Dataset:
    """Kuzushiji-MNIST: 60,000 + 10,000 Japanese characters (Clanuwat et al., 2018), from `KMNIST/raw`; as `mnist`."""
    return _idx_dataset("kmnist", root, "KMNIST", normalize)


def _idx_dataset(name: str, root: Path, torchvision_class: str, normalize: bool) -> Dataset:
    published = dict(zip(FILES, PUBLISHED[torchvision_class], strict=True))
    inside = f"{torchvision_class}/raw"
    content = read_archives(root / inside, published, torchvision_class, inside)
    x_train, y_train, x_test, y_test = (_idx(gzip.decompress(content[file])) for file in FILES)
    source = f"{torchvision_class}, the published archives"
    return image_dataset(name, source, (x_train[:, None], y_train), (x_test[:, None], y_test), normalize=normalize)


def _idx(content: bytes) -> Array:
    """The array of unsigned bytes in an IDX file: 0, 0, type 8, the number of dimensions, each as big-endian int32."""
    dimensions = content[3]
    shape = np.frombuffer(content, dtype=">i4", count=dimensions, offset=4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions).reshape(shape)
