"""Data sets in files: missing, damaged, downloaded. The files here are made, small, of the published forms."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import sys
import tarfile
import types
import urllib.error
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2pl.data import available, load
from p2pl.datasets import cifar10 as cifar10_file
from p2pl.datasets import mnist as mnist_file
from p2pl.datasets._archives import read_archives
from p2pl.registry import SpecError

RNG = np.random.default_rng


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">i4").tobytes()
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


@pytest.fixture
def tiny_mnist(monkeypatch):
    """Contents of four small IDX archives by name, published as MNIST's; and the arrays in them."""
    rng = RNG(0)
    arrays = [
        rng.integers(256, size=(20, 28, 28)),
        np.arange(20) % 10,
        rng.integers(256, size=(10, 28, 28)),
        np.arange(10),
    ]
    contents = {name: idx(array) for name, array in zip(mnist_file.FILES, arrays, strict=True)}
    sums = [hashlib.md5(content).hexdigest() for content in contents.values()]
    monkeypatch.setitem(mnist_file.PUBLISHED, "MNIST", sums)
    return contents, arrays


def put(folder: Path, contents: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def fake_torchvision(monkeypatch, download) -> None:
    """Let `download(scratch)` stand for every downloading class of torchvision.datasets."""
    datasets = types.ModuleType("torchvision.datasets")
    for name in ("MNIST", "CIFAR10"):
        setattr(datasets, name, lambda root, download_=download, **options: download_(Path(root)))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)


def no_network(scratch: Path) -> None:
    raise urllib.error.URLError("Name or service not known")


def must_not_download(scratch: Path) -> None:
    pytest.fail("a download was tried")


def files_below(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_archives_are_read_as_they_are_and_nothing_is_written(tmp_path, tiny_mnist, monkeypatch):
    contents, arrays = tiny_mnist
    fake_torchvision(monkeypatch, must_not_download)
    put(tmp_path / "MNIST/raw", contents)
    # An unpacked file that differs, as torchvision would read without a check.
    (tmp_path / "MNIST/raw/train-images-idx3-ubyte").write_bytes(b"something else")
    before = files_below(tmp_path)
    data = load("mnist", tmp_path)
    assert np.array_equal(data.x_train[:, 0], (arrays[0] / 255).astype(np.float32))
    assert np.array_equal(data.y_train, arrays[1])
    assert np.array_equal(data.x_test[:, 0], (arrays[2] / 255).astype(np.float32))
    assert np.array_equal(data.y_test, arrays[3])
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("name", mnist_file.FILES)
def test_a_damaged_archive_is_named_and_never_downloaded_over(tmp_path, tiny_mnist, monkeypatch, name):
    contents, _ = tiny_mnist
    fake_torchvision(monkeypatch, must_not_download)
    cut = {**contents, name: contents[name][:-1]}
    del cut[next(other for other in mnist_file.FILES if other != name)]  # a missing one is no reason to download yet
    put(tmp_path / "MNIST/raw", cut)
    before = files_below(tmp_path)
    with pytest.raises(SpecError, match=f"{name} is damaged"):
        load("mnist", tmp_path)
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist"])
def test_without_files_and_network_it_says_what_to_put_where(tmp_path, monkeypatch, name):
    fake_torchvision(monkeypatch, no_network)
    monkeypatch.setattr(sys.modules["torchvision.datasets"], "FashionMNIST", no_network_class, raising=False)
    monkeypatch.setattr(sys.modules["torchvision.datasets"], "KMNIST", no_network_class, raising=False)
    with pytest.raises(SpecError) as caught:
        load(name, tmp_path / "data")
    folder = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}[name]
    for expected in (*mnist_file.FILES, str(tmp_path / "data" / folder / "raw"), "Name or service not known"):
        assert expected in str(caught.value)
    assert not (tmp_path / "data").exists()


def no_network_class(root, download):
    no_network(root)


def test_only_what_is_missing_is_downloaded(tmp_path, tiny_mnist, monkeypatch):
    contents, arrays = tiny_mnist
    fake_torchvision(monkeypatch, lambda scratch: put(scratch / "MNIST/raw", contents))
    kept = {name: contents[name] for name in mnist_file.FILES[:2]}
    put(tmp_path / "MNIST/raw", kept)
    stamps = {name: (tmp_path / "MNIST/raw" / name).stat().st_mtime_ns for name in kept}
    assert np.array_equal(load("mnist", tmp_path).y_test, arrays[3])
    assert files_below(tmp_path) == {f"MNIST/raw/{name}": content for name, content in contents.items()}
    assert stamps == {name: (tmp_path / "MNIST/raw" / name).stat().st_mtime_ns for name in kept}


def test_a_download_that_is_not_the_published_file_is_refused(tmp_path, tiny_mnist, monkeypatch):
    contents, _ = tiny_mnist
    wrong = {name: content + b"!" for name, content in contents.items()}
    fake_torchvision(monkeypatch, lambda scratch: put(scratch / "MNIST/raw", wrong))
    with pytest.raises(SpecError, match=r"train-images-idx3-ubyte\.gz is damaged"):
        load("mnist", tmp_path)


def test_a_torchvision_that_does_not_import_is_explained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(SpecError, match=r"CPU-only torch.*pip install.*put a\.gz, b\.gz into"):
        read_archives(tmp_path, {"a.gz": "0", "b.gz": "0"}, "MNIST")


def test_the_folder_is_that_of_the_environment(tmp_path, tiny_mnist, monkeypatch):
    put(tmp_path / "MNIST/raw", tiny_mnist[0])
    monkeypatch.setenv("P2PL_DATA", str(tmp_path))
    assert "mnist" in available()
    assert "kmnist" not in available()
    assert load("mnist").x_train.shape == (20, 1, 28, 28)


def tiny_cifar(rows: int = 20, test_rows: int = 10) -> dict[str, np.ndarray]:
    rng = RNG(1)
    return {
        "x_train": rng.integers(256, size=(rows, 32, 32, 3), dtype=np.uint8),
        "y_train": (np.arange(rows) % 10).astype(np.uint8),
        "x_test": rng.integers(256, size=(test_rows, 32, 32, 3), dtype=np.uint8),
        "y_test": (np.arange(test_rows) % 10).astype(np.uint8),
    }


def test_a_prepared_npz_is_read_with_channels_first(tmp_path):
    arrays = tiny_cifar()
    np.savez(tmp_path / "cifar10.npz", **arrays)
    data = load("cifar10", tmp_path)
    assert data.x_train.shape == (20, 3, 32, 32)
    assert data.x_train[3, 2, 5, 7] == np.float32(arrays["x_train"][3, 5, 7, 2]) / np.float32(255)
    assert np.array_equal(data.y_test, arrays["y_test"])
    assert "20 + 10 images" in data.source


def test_an_npz_less_93_images_says_so_and_is_verified(tmp_path, monkeypatch):
    arrays = tiny_cifar()
    monkeypatch.setattr(cifar10_file, "LESS_93_ROWS", (20, 10))
    np.savez(tmp_path / "cifar10.npz", **arrays)
    with pytest.raises(SpecError, match=r"cifar10\.npz is damaged: the checksum of x_train"):
        load("cifar10", tmp_path)
    sums = tuple(hashlib.sha256(array.tobytes()).hexdigest() for array in arrays.values())
    monkeypatch.setattr(cifar10_file, "LESS_93", sums)
    assert load("cifar10", tmp_path).source == "CIFAR-10 less 93 images"


def archive_of(arrays: dict[str, np.ndarray]) -> bytes:
    """A tar.gz of the form of the published one: five training batches and a test batch, rows of 3,072 bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        rows = len(arrays["x_train"]) // 5
        parts = {f"data_batch_{i + 1}": ("train", slice(i * rows, (i + 1) * rows)) for i in range(5)}
        for name, (split, chosen) in {**parts, "test_batch": ("test", slice(None))}.items():
            pixels = arrays[f"x_{split}"][chosen].transpose(0, 3, 1, 2).reshape(-1, 3072)
            content = pickle.dumps({"data": pixels, "labels": arrays[f"y_{split}"][chosen].tolist()})
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def test_the_archive_and_an_npz_of_the_same_images_are_the_same_data(tmp_path, monkeypatch):
    arrays = tiny_cifar()
    content = archive_of(arrays)
    monkeypatch.setattr(cifar10_file, "PUBLISHED_MD5", hashlib.md5(content).hexdigest())
    fake_torchvision(monkeypatch, lambda scratch: put(scratch, {cifar10_file.ARCHIVE: content}))
    from_archive = load("cifar10", tmp_path / "a")
    (tmp_path / "b").mkdir()
    np.savez(tmp_path / "b" / "cifar10.npz", **arrays)
    from_npz = load("cifar10", tmp_path / "b")
    assert from_archive.checksum == from_npz.checksum
    assert np.array_equal(from_archive.x_train, from_npz.x_train)
    assert from_archive.source == "CIFAR-10, the published archive"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), end=st.booleans())
def test_no_flipped_byte_of_an_npz_goes_unnoticed(tmp_path, monkeypatch, where, flip, end):
    fake_torchvision(monkeypatch, must_not_download)
    path = tmp_path / "cifar10.npz"
    np.savez(path, **tiny_cifar(2, 10))
    content = bytearray(path.read_bytes())
    intact = load("cifar10", tmp_path).checksum
    # Half of the flips in the last 500 bytes: the zip directory, where errors take the most forms.
    position = len(content) - 1 - int(where * 500) if end else int(where * len(content))
    content[position] ^= flip
    path.write_bytes(content)
    try:
        outcome = load("cifar10", tmp_path).checksum
    except SpecError as error:
        outcome = str(error)
    # The same data: the byte carries nothing, such as a time stamp.
    assert outcome == intact or "cifar10.npz" in outcome


def test_an_npz_of_another_form_is_refused(tmp_path):
    arrays = tiny_cifar()
    np.savez(tmp_path / "cifar10.npz", **{**arrays, "x_test": arrays["x_test"].transpose(0, 3, 1, 2)})
    with pytest.raises(SpecError, match=r"cifar10\.npz.*\(N, 32, 32, 3\)"):
        load("cifar10", tmp_path)
