"""Laws of every registered compressor, and what each one's messages weigh."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pl import sweep, table_files
from p2pl.compression import Compression, kept, largest
from p2pl.native.selecting import NativeLargest
from p2pl.registry import SpecError, compressor
from p2pl.scenario import stage

LAYERS = (40, 7, 1, 80)
EVERY = list(compressor.entries)
CONTRACTING = [name for name, entry in compressor.entries.items() if entry.traits.get("contracts")]
UNBIASED = [name for name, entry in compressor.entries.items() if "unbiased" in entry.options]
KEEPING = [name for name, entry in compressor.entries.items() if "keep" in entry.options]


def vectors(rows=5, dtype=torch.float64):
    """Gaussian rows, of which one is zero, one has a zero layer and one a single value."""
    x = torch.randn(rows, sum(LAYERS), dtype=dtype, generator=torch.Generator().manual_seed(0))
    x[1] = 0
    x[2, :40] = 0
    x[3, 1:] = 0
    return x


def compress(choice, x, number=0, layers=LAYERS):
    return Compression(compressor.resolve(choice), layers, seed=3)(x, round=1, number=number)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", EVERY)
def test_a_message_is_like_its_vector_and_leaves_it_alone(name, dtype):
    x = vectors(dtype=dtype)
    kept_x = x.clone()
    values, weight = compress(name, x)
    assert (values.shape, values.dtype) == (x.shape, dtype)
    assert torch.equal(x, kept_x)
    assert torch.isfinite(values).all()
    assert not values[1].any()
    assert isinstance(weight, int)
    assert 0 < weight <= x.shape[1] * x.element_size() + 8
    assert torch.equal(values, compress(name, x).values)


@pytest.mark.parametrize("name", CONTRACTING)
def test_what_contracts_contracts(name):
    """E ||C(x) - x||^2 < ||x||^2 for every x that is not 0; with every draw, for those here."""
    x = vectors(60)
    lost = (compress(name, x).values - x).square().sum(dim=1)
    norm = x.square().sum(dim=1)
    assert (lost <= norm).all()
    share = (lost / norm)[[0, *range(4, 60)]].mean()
    assert share < 1 - 1e-3


@pytest.mark.parametrize("name", UNBIASED)
def test_what_is_unbiased_is_so_in_the_mean(name):
    x, draws = vectors(), 4000
    choice = {"name": name, "unbiased": True}
    found = torch.stack([compress(choice, x, number).values for number in range(draws)])
    error = found.mean(dim=0) - x
    spread = found.std(dim=0) / math.sqrt(draws)
    assert (error.abs() <= 5 * spread + 1e-12).all()


def test_every_compressor_is_under_a_law():
    assert set(EVERY) == set(CONTRACTING) | set(UNBIASED)
    assert KEEPING
    assert UNBIASED


@pytest.mark.parametrize("name", KEEPING)
def test_all_kept_is_all_said_and_nothing_kept_is_refused(name):
    x = vectors()
    values, weight = compress({"name": name, "keep": 1}, x)
    assert torch.equal(values, x)
    assert weight == x.shape[1] * 8
    for keep in (0, -0.1, 1.1):
        with pytest.raises(SpecError, match="keep"):
            compress({"name": name, "keep": keep}, x)


@pytest.mark.parametrize("keep", [0.001, 0.1, 0.5])
@pytest.mark.parametrize("by_layer", [True, False])
def test_top_k_keeps_the_largest_of_each_layer_or_of_all(keep, by_layer):
    x = torch.randn(4, sum(LAYERS), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    values, weight = compress({"name": "top_k", "keep": keep, "by_layer": by_layer}, x)
    layers, bytes_ = (LAYERS if by_layer else (sum(LAYERS),)), 0
    for part, sent in zip(torch.split(x, list(layers), 1), torch.split(values, list(layers), 1), strict=True):
        count = max(1, math.floor(part.shape[1] * keep))
        for row, kept_row in zip(part.numpy(), sent.numpy(), strict=True):
            largest = np.argsort(-np.abs(row))[:count]
            expected = np.zeros_like(row)
            expected[largest] = row[largest]
            np.testing.assert_array_equal(kept_row, expected)
        whole = count == part.shape[1]
        bytes_ += 8 * count + (0 if whole else min(4 * count, math.ceil(part.shape[1] / 8)))
    assert weight == bytes_


def test_random_k_keeps_as_many_as_it_says_anew_each_time():
    x = torch.ones(6, 1000)
    first, second = (compress({"name": "random_k", "keep": 0.05}, x, n, (1000,)) for n in (0, 1))
    assert first.bytes == 50 * 4 + 8
    for message in (first, second):
        assert (message.values.sum(dim=1) == 50).all()
    assert not torch.equal(first.values, second.values)
    assert len(first.values.unique(dim=0)) == 6


def test_a_sign_weighs_a_bit_and_a_scale_for_each_layer():
    x = vectors(dtype=torch.float32)
    values, weight = compress("sign", x)
    assert weight == (5 + 1 + 1 + 10) + 4 * len(LAYERS)
    layer = x[0, :40]
    torch.testing.assert_close(values[0, :40], layer.sign() * layer.abs().mean())


def test_qsgd_rounds_to_its_levels_within_its_bound():
    x = vectors(400)
    values, weight = compress({"name": "qsgd", "levels": 4, "unbiased": True}, x)
    part, rounded = x[0, 48:], values[0, 48:]
    steps = rounded / (part.norm() / 4)
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-12)
    assert weight == sum(math.ceil(n * 4 / 8) + 8 for n in LAYERS)
    bound = min(80 / 16, math.sqrt(80) / 4)
    lost = (values[4:, 48:] - x[4:, 48:]).square().sum(dim=1) / x[4:, 48:].square().sum(dim=1)
    assert lost.mean() <= bound
    contracted = compress({"name": "qsgd", "levels": 4}, x).values[0, 48:]
    torch.testing.assert_close(contracted, rounded / (1 + bound), rtol=1e-12, atol=0)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_low_precision_is_off_by_half_a_step_at_most(bits):
    x = vectors()
    values, weight = compress({"name": "low_precision", "bits": bits}, x)
    for part, rounded in zip(torch.split(x, list(LAYERS), 1), torch.split(values, list(LAYERS), 1), strict=True):
        step = part.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
        assert ((part - rounded).abs() <= step / 2 + 1e-15).all()
    assert weight == sum(math.ceil(n * bits / 8) + 8 for n in LAYERS)
    with pytest.raises(SpecError, match="bits"):
        compress({"name": "low_precision", "bits": 17}, x)


def test_a_share_is_rounded_down_but_never_to_nothing():
    assert [kept(keep, 100) for keep in (0.001, 0.29, 0.299, 1.0)] == [1, 29, 29, 100]
    assert kept(0.07, 100) == 7  # 0.07 * 100 is 7.000000000000001, and 0.29 * 100 is 28.999999999999996


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_the_native_selection_is_that_of_torch(libraries, data):
    """Where no two magnitudes are equal; of equal ones as many are kept, with zeros, denormals and infinities too."""
    sizes = data.draw(st.lists(st.integers(1, 50), min_size=1, max_size=4))
    counts = [data.draw(st.integers(1, size)) for size in sizes]
    number = st.one_of(
        st.floats(width=32, allow_nan=False), st.sampled_from([0.0, -0.0, 1e-45, -1e-45, math.inf, -math.inf, 1.0])
    )
    rows = data.draw(st.integers(1, 3))
    x = torch.tensor([[data.draw(number) for _ in range(sum(sizes))] for _ in range(rows)], dtype=torch.float32)
    found, expected = NativeLargest(libraries[0])(x, sizes, counts), largest(x, sizes, counts)
    torch.testing.assert_close(found.abs().sort(dim=1).values, expected.abs().sort(dim=1).values, rtol=0, atol=0)
    assert ((found == x) | (found == 0)).all()
    for part, some, count in zip(torch.split(x, sizes, 1), torch.split(found, sizes, 1), counts, strict=True):
        least = part.abs().sort(dim=1).values[:, -count]
        for row, kept_row, limit in zip(part, some, least, strict=True):
            assert torch.equal(kept_row[row.abs() > limit], row[row.abs() > limit])
            equal = (row.abs() == limit).nonzero().ravel()
            first = count - int((row.abs() > limit).sum())
            assert torch.equal(kept_row[equal[:first]], row[equal[:first]])
            assert not kept_row[equal[first:]].any()


def test_a_selection_by_a_sample_is_exact_whatever_the_sample(libraries):
    """Long parts: the largest may stand anywhere, may all be equal, or all where the sample does not look."""
    rng = np.random.default_rng(0)
    size = 6000
    plain, apart = rng.standard_normal(size), np.zeros(size)
    apart[1::12] = rng.standard_normal(500)
    cases = [plain, np.sort(plain), apart, np.ones(size), np.where(np.arange(size) < 40, 5.0, plain), np.zeros(size)]
    x = torch.from_numpy(np.stack(cases)).float()
    for count in (1, 7, 60, 499, 501, 3000, size - 1):
        found, expected = NativeLargest(libraries[0])(x, [size], [count]), largest(x, [size], [count])
        assert torch.equal(found.abs().sort(dim=1).values, expected.abs().sort(dim=1).values)
        assert ((found == x) | (found == 0)).all()


def test_the_long_run_of_the_table_is_of_the_paper_s_length_and_sends_400_times_less():
    table = table_files.read_table(Path(__file__).parent.parent / "config" / "config.yaml")
    dense, sparse, *_ = (cell.experiment for cell in sweep.cells(table, "long_run"))
    layers = [p.numel() for p in stage(sparse).module.parameters()]
    sent = Compression(sparse.compression, layers, 0)(torch.ones(1, sum(layers)), 1, 1).bytes
    assert 4 * (sum(layers) + 1) / (sent + 4) > 400
    assert sparse.rounds * sparse.compression.options["keep"] == pytest.approx(39.2)
    assert dense.rounds == sparse.rounds
