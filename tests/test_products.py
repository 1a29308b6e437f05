"""Products with mixing weights: the native one against torch's, and both against the matrix."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pl.native.library import Library
from p2pl.native.mixing import NativeProduct
from p2pl.products import TorchProduct, product
from p2pl.transmission import Weights


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
