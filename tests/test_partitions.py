"""Laws over every partition and every rule of sizes, and what each of them is for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from p2pl.registry import SpecError, partition, sizes

RNG = np.random.default_rng

# A value for an option that has no default, by its annotation.
EXAMPLES = {"Count": lambda k: 1, "Positive": lambda k: 1.0, "list[Positive]": lambda k: [1.0 + i for i in range(k)]}


def choice(entry, devices: int) -> dict:
    required = {o.name: EXAMPLES[o.annotation](devices) for o in entry.options.values() if o.required}
    return {"name": entry.name, **required}


def attempt(call):
    """What `call` returns, and None; or None and the words of its SpecError."""
    try:
        return call(), None
    except SpecError as error:
        return None, str(error)


def counts(rule, samples: int, devices: int, seed: int = 0) -> np.ndarray:
    return sizes.call(rule, samples=samples, devices=devices, rng=RNG(seed))


def split(rule, labels: np.ndarray, target: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    return partition.call(rule, labels=labels, sizes=target, rng=RNG(seed))


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("entry", sizes.entries.values(), ids=lambda e: e.name)
@given(samples=st.integers(1, 5000), devices=st.integers(1, 120), seed=st.integers(0, 5))
def test_sizes_add_up_and_leave_nobody_without(entry, samples, devices, seed):
    got, refusal = attempt(lambda: counts(choice(entry, devices), samples, devices, seed))
    if got is None:
        assert f"sizes '{entry.name}'" in refusal
        return
    assert samples >= devices
    assert got.dtype == np.int64
    assert got.shape == (devices,)
    assert got.sum() == samples
    assert got.min() >= 1
    assert np.array_equal(got, counts(choice(entry, devices), samples, devices, seed))


@pytest.mark.parametrize("entry", sizes.entries.values(), ids=lambda e: e.name)
def test_sizes_of_one_device_are_everything_and_ample_samples_always_do(entry):
    assert counts(choice(entry, 1), 17, 1).tolist() == [17]
    assert counts(choice(entry, 100), 60_000, 100).min() >= 1


def test_equal_sizes_differ_by_one_at_most():
    assert counts("equal", 100, 100).tolist() == [1] * 100
    assert counts("equal", 10, 4).tolist() == [3, 3, 2, 2]
    with pytest.raises(SpecError, match="none of the 3 samples"):
        counts("equal", 3, 4)


@given(exponent=st.floats(0, 2), seed=st.integers(0, 5))
def test_power_law_sizes_follow_their_exponent(exponent, seed):
    got = np.sort(counts({"name": "power_law", "exponent": exponent}, 100_000, 20, seed))[::-1]
    expected = np.arange(1, 21.0) ** -exponent
    assert np.abs(got - expected / expected.sum() * 100_000).max() < 1
    assert exponent > 0 or np.ptp(got) == 0


def test_power_law_draws_who_is_rich():
    assert len({int(counts("power_law", 1000, 10, seed).argmax()) for seed in range(20)}) > 3


def test_shares_are_met_in_order():
    assert counts({"name": "shares", "shares": [1, 2, 7]}, 100, 3).tolist() == [10, 20, 70]
    with pytest.raises(SpecError, match="3 shares are given for 4 devices"):
        counts({"name": "shares", "shares": [1, 2, 7]}, 100, 4)
    with pytest.raises(SpecError, match="device 0 for one"):
        counts({"name": "shares", "shares": [1e-6, 2, 7]}, 100, 3)


def test_one_rich_device_and_one_percent_of_rich_devices():
    got = counts({"name": "one_rich", "device": 4}, 10_000, 100)
    assert got[4] == 9_900
    assert set(np.delete(got, 4)) == {1, 2}
    assert np.array_equal(np.sort(counts("few_rich", 10_000, 100)), np.sort(got))
    assert (counts("few_rich", 60_000, 200) == 60_000 * 0.99 / 2).sum() == 2
    with pytest.raises(SpecError, match=r"no device 7; the devices are 0\.\.4"):
        counts({"name": "one_rich", "device": 7}, 100, 5)
    with pytest.raises(SpecError, match="would have none of the 4000 samples"):
        counts("one_rich", 4000, 100)


# ---------------------------------------------------------------- partitions


@st.composite
def problems(draw):
    """Labels of up to 10 classes of any frequencies, and sizes by any rule that can be."""
    samples, devices = draw(st.integers(1, 300)), draw(st.integers(1, 25))
    labels = draw(st.integers(0, 2**32 - 1).map(RNG)).integers(draw(st.integers(1, 10)), size=samples) * 3 - 1
    entry = draw(st.sampled_from(list(sizes.entries.values())))
    target, _ = attempt(lambda: counts(choice(entry, devices), samples, devices))
    assume(target is not None)
    return labels, target


@pytest.mark.parametrize("entry", partition.entries.values(), ids=lambda e: e.name)
@settings(deadline=None)
@given(problem=problems(), seed=st.integers(0, 5))
def test_every_sample_is_on_exactly_one_device_and_none_is_empty(entry, problem, seed):
    labels, target = problem
    parts, refusal = attempt(lambda: split(choice(entry, len(target)), labels, target, seed))
    if parts is None:
        assert f"partition '{entry.name}'" in refusal
        return
    assert len(parts) == len(target)
    assert all(part.dtype == np.int64 and len(part) and (np.diff(part) > 0).all() for part in parts)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    if entry.traits.get("meets_sizes", True):
        assert [len(part) for part in parts] == target.tolist()
    again = split(choice(entry, len(target)), labels, target, seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


@pytest.mark.parametrize("entry", partition.entries.values(), ids=lambda e: e.name)
def test_an_ordinary_problem_is_never_refused_and_draws_by_its_stream(entry):
    labels, target = np.arange(1000) % 10, np.full(20, 50)
    first, second = (split(choice(entry, 20), labels, target, seed) for seed in (0, 1))
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def histogram(parts: list[np.ndarray], labels: np.ndarray) -> np.ndarray:
    return np.array([np.bincount(labels[part], minlength=labels.max() + 1) for part in parts])


@given(alpha=st.sampled_from([1e-3, 1e-2, 0.1, 1.0, 1e4]), seed=st.integers(0, 5))
@settings(deadline=None, max_examples=30)
def test_dirichlet_meets_sizes_at_any_alpha(alpha, seed):
    labels, target = np.arange(2000) % 10, np.arange(1, 41) * 2
    target[-1] += 2000 - target.sum()
    parts = split({"name": "dirichlet", "alpha": alpha}, labels, target, seed)
    assert [len(part) for part in parts] == target.tolist()


def test_dirichlet_goes_from_one_class_to_iid():
    labels, target = np.arange(20_000) % 10, np.full(20, 1000)
    largest = [
        np.median(histogram(split({"name": "dirichlet", "alpha": alpha}, labels, target), labels).max(1)) / 1000
        for alpha in (0.01, 0.1, 1.0, 100.0, 1e5)
    ]
    assert largest == sorted(largest, reverse=True)
    assert largest[0] > 0.9
    assert largest[-1] < 0.13


@given(
    devices=st.integers(1, 40), per_device=st.integers(1, 10), rule=st.sampled_from(["equal", "power_law"]),
    seed=st.integers(0, 5),
)  # fmt: skip
@settings(deadline=None)
def test_classes_gives_exactly_so_many_and_holds_each_equally_often(devices, per_device, rule, seed):
    assume(devices * per_device >= 10)
    labels = np.arange(3000) % 10
    target = counts(rule, 3000, devices, seed)
    held = histogram(split({"name": "classes", "per_device": per_device}, labels, target, seed), labels) > 0
    assert (held.sum(1) == per_device).all()
    assert np.ptp(held.sum(0)) <= 1


@pytest.mark.parametrize(("devices", "per_device"), [(10, 2), (100, 2), (20, 3), (7, 10), (12, 3), (9, 4)])
def test_classes_meets_sizes_within_rounding_where_that_is_possible(devices, per_device):
    labels = np.arange(4000) % 10
    target = counts("equal", 4000, devices)
    parts = split({"name": "classes", "per_device": per_device}, labels, target)
    assert max(abs(len(part) - size) for part, size in zip(parts, target, strict=True)) <= per_device


def test_classes_follows_unequal_sizes_as_far_as_its_classes_go():
    labels = np.arange(1000) % 10
    target = counts({"name": "one_rich", "share": 0.9}, 1000, 20)
    parts = split({"name": "classes", "per_device": 2}, labels, target)
    # It has two of ten classes of 100 samples each; the three other holders of each keep at least one sample.
    assert len(parts[0]) == 200 - 2 * 3


@pytest.mark.parametrize(
    ("devices", "per_device", "samples", "words"),
    [
        (5, 11, 1000, "11 classes a device, but the data has 10"),
        (4, 2, 1000, "per_device must be at least 3"),
        (12, 10, 100, "class 0 has 10 samples for 12 devices"),
    ],
)
def test_classes_refuses_what_cannot_be(devices, per_device, samples, words):
    with pytest.raises(SpecError, match=words):
        split({"name": "classes", "per_device": per_device}, np.arange(samples) % 10, counts("equal", samples, devices))


def test_full_skew_gives_contiguous_classes_and_no_skew_is_shuffled():
    labels = RNG(0).permutation(np.repeat(np.arange(10), 40))
    target = counts("equal", 400, 20)
    sorted_ = histogram(split({"name": "skew", "fraction": 1.0}, labels, target), labels)
    assert np.array_equal(sorted_, 20 * np.repeat(np.eye(10, dtype=int), 2, axis=0))
    assert (histogram(split({"name": "skew", "fraction": 0.0}, labels, target), labels) > 0).sum(1).min() >= 5


@given(fraction=st.floats(0, 1), seed=st.integers(0, 3))
def test_skew_sorts_the_first_fraction_of_each_class(fraction, seed):
    labels = np.repeat(np.arange(5), 40)
    target = np.array([20, 60, 100, 20])
    parts = split({"name": "skew", "fraction": fraction}, labels, target, seed)
    early = np.flatnonzero(np.arange(200) % 40 < np.rint(fraction * 40))
    ours = [np.intersect1d(part, early) for part in parts]
    # Labels and samples are in order here, so the sorted pool is dealt out in order of the samples.
    assert np.array_equal(np.concatenate(ours), early)
    assert all(abs(len(o) - t * len(early) / 200) < 1 for o, t in zip(ours, target, strict=True))
