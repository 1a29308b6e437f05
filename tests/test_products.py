"""Products with mixing weights: the native one against torch's, and both against the matrix."""

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pl.native.library import Library
from p2pl.native.mixing import NativeProduct
from p2pl.products import Operator, TorchProduct, product, sparse_tensor
from p2pl.transmission import Weights

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def drawn(devices: int, density: float, packets: int | None, rng: np.random.Generator) -> Weights:
    """Weights of random links; with a packet axis, some of whose messages never arrive at all."""
    links = np.argwhere((rng.random((devices, devices)) < density) & ~np.eye(devices, dtype=bool))
    shape = () if packets is None else (packets,)
    link = rng.random((len(links), *shape)) * (rng.random((len(links), *shape)) < 0.7)
    return Weights(links[:, 0], links[:, 1], rng.random((devices, *shape)), link, "row")


@settings(deadline=None, max_examples=60)
@given(
    devices=st.integers(1, 12),
    columns=st.integers(1, 700),
    density=st.floats(0, 1),
    packet=st.sampled_from([None, 7, 64, 362]),
    late=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_native_product_is_torchs(
    libraries: list[Library], devices: int, columns: int, density: float, packet: int | None, late: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weights = drawn(devices, density, None if packet is None else -(-columns // packet), rng)
    now = torch.from_numpy(rng.standard_normal((devices, columns), dtype=np.float32))
    then = torch.from_numpy(rng.standard_normal((devices, columns), dtype=np.float32)) if late else now
    exact = TorchProduct(weights, now.double())(now.double(), then.double() if late else now.double(), packet or 1)
    before = now.clone()
    for library in libraries:
        mixed = NativeProduct(library, weights)(now, then, packet or 1)
        assert torch.equal(now, before)
        assert (mixed - exact).abs().max() <= 4e-6 * max(1.0, float(exact.abs().max()))


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("devices", "columns"), [(3, 700_001), (40, 53_001), (700, 3_037)])
def test_the_sums_of_large_models_are_bit_for_bit_those_of_their_parts(
    libraries: list[Library], devices: int, columns: int, late: bool
) -> None:
    """Large ones go past the caches; their rows begin anywhere in a cache line, and end anywhere in a piece."""
    rng = np.random.default_rng(0)
    weights = drawn(devices, min(1.0, 5 / devices), None, rng)
    now = torch.from_numpy(rng.standard_normal((devices, columns), dtype=np.float32))
    then = torch.from_numpy(rng.standard_normal((devices, columns), dtype=np.float32)) if late else now
    cuts = [slice(begin, begin + 1_000_000 // devices) for begin in range(0, columns, 1_000_000 // devices)]
    assert len(cuts) > 1
    for library in libraries:
        form = NativeProduct(library, weights)
        parts = [form(now[:, cut], then[:, cut], 1) for cut in cuts]
        assert torch.equal(form(now, then, 1), torch.cat(parts, dim=1))


def test_a_matrix_is_what_torchs_product_multiplies_with() -> None:
    rng = np.random.default_rng(0)
    weights = drawn(9, 0.4, None, rng)
    x = torch.from_numpy(rng.standard_normal((9, 30)))
    assert torch.allclose(TorchProduct(weights, x)(x, x, 1), torch.from_numpy(weights.matrix() @ x.numpy()))


@pytest.mark.parametrize(("dtype", "density"), [(torch.float64, 0.2), (torch.float32, 1.0)])
def test_doubles_and_dense_weights_are_torchs(libraries: list[Library], dtype: torch.dtype, density: float) -> None:
    weights = drawn(12, density, None, np.random.default_rng(0))
    weights.link[:] = 0.1
    assert isinstance(product(weights, torch.zeros(12, 3, dtype=dtype), libraries[0]), TorchProduct)


def test_packets_are_the_native_products_however_dense(libraries: list[Library]) -> None:
    weights = drawn(12, 1.0, 3, np.random.default_rng(0))
    weights.link[:] = 0.1
    assert isinstance(product(weights, torch.zeros(12, 9), libraries[0]), NativeProduct)


@settings(deadline=None, max_examples=60)
@given(
    devices=st.integers(1, 12),
    columns=st.integers(1, 300),
    density=st.floats(0, 1),
    packet=st.sampled_from([7, 64, 362]),
    more=st.integers(0, 2),
    late=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_packets_of_few_devices_are_multiplied_at_once(
    devices: int, columns: int, density: float, packet: int, more: int, late: bool, seed: int
) -> None:
    """Also those at the beginning of a longer message."""
    rng = np.random.default_rng(seed)
    weights = drawn(devices, density, -(-columns // packet) + more, rng)
    now, other = (torch.from_numpy(rng.standard_normal((devices, columns))) for _ in range(2))
    then = other if late else now
    form = TorchProduct(weights, now)
    with mock.patch("p2pl.products.FEW", 0):
        one_by_one = form(now, then, packet)
    torch.testing.assert_close(form(now, then, packet), one_by_one, rtol=0, atol=1e-12)
    for number in range(weights.link.shape[1]):
        part = slice(number * packet, (number + 1) * packet)
        links = weights.matrix(number).toarray() - np.diag(weights.own[:, number])
        expected = weights.own[:, number, None] * now[:, part].numpy() + links @ then[:, part].numpy()
        np.testing.assert_allclose(one_by_one[:, part].numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sparse_weights_on_an_accelerator_are_the_matrix(dtype: torch.dtype, device: str) -> None:
    rng = np.random.default_rng(0)
    matrix = drawn(50, 0.03, None, rng).matrix().astype(np.float64 if dtype == torch.float64 else np.float32)
    x = torch.from_numpy(rng.standard_normal((50, 30))).to(device, dtype)
    mixed = torch.mm(sparse_tensor(matrix, x.device), x)
    torch.testing.assert_close(mixed, torch.from_numpy(matrix.toarray()).to(x) @ x)
    torch.testing.assert_close(Operator(matrix, x) @ x, mixed)
