"""Images cut out and flipped on the fly: what becomes of one, who sees which, and who refuses them."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from p2pl import Experiment, SpecError, data
from p2pl.augmentation import draw_views, flip_crop
from p2pl.batched import AnyModule
from p2pl.engine import prepare, unfold
from p2pl.groups import Training
from p2pl.learners import batched
from p2pl.local_data import LocalData
from p2pl.models.cnn import SmallCNN
from p2pl.native import build
from p2pl.scenario import stage
from p2pl.training import LocalWork, TorchLearner
from theory.forecast import Method, forecast
from theory.predict import Way, predict

CPU = torch.device("cpu")
SPEC = {
    "dataset": "digits",
    "devices": 4,
    "samples": 100,
    "model": {"name": "mlp", "hidden": [8]},
    "training": {"augment": "flip_crop"},
    "rounds": 2,
}


def seen(image, view):
    """One image (C, H, W) by its view, as the words have it."""
    top, left, turned = (int(part) for part in view)
    channels, height, width = image.shape
    padded = torch.zeros(channels, height + 8, width + 8, dtype=image.dtype)
    padded[:, 4:-4, 4:-4] = image
    cut = padded[:, top : top + height, left : left + width]
    return cut.flip(2) if turned else cut


def test_an_image_is_cut_out_of_a_border_of_zeros_and_turned():
    views = torch.cartesian_prod(torch.arange(9), torch.arange(9), torch.arange(2))
    images = torch.rand(len(views), 3, 5, 11)
    made = flip_crop(images, views)
    for image, view, one in zip(images, views, made, strict=True):
        assert torch.equal(one, seen(image, view))
    assert torch.equal(flip_crop(images, torch.tensor([4, 4, 0]).expand(len(views), 3)), images)
    stacked = flip_crop(images.unflatten(0, (9, 18)), views.unflatten(0, (9, 18)))
    assert torch.equal(stacked.flatten(0, 1), made)


def test_all_views_are_equally_likely():
    views = draw_views(0, 3, 5, 100_000)
    counts = np.zeros((9, 9, 2))
    np.add.at(counts, tuple(views.T), 1)
    expected = 100_000 / 162
    # Chi-squared with 161 degrees of freedom: mean 161, standard deviation 18.
    assert ((counts - expected) ** 2 / expected).sum() < 161 + 5 * 18
    assert abs(views[:, 2].mean() - 0.5) < 5 * 0.5 / 100_000**0.5


@settings(deadline=None, max_examples=30)
@given(count=st.integers(1, 300), fewer=st.integers(1, 300), device=st.integers(0, 3), number=st.integers(1, 3))
def test_views_are_of_the_seed_the_device_the_round_and_the_place(count, fewer, device, number):
    views = draw_views(7, device, number, 300)
    assert np.array_equal(draw_views(7, device, number, count), views[:count])
    assert np.array_equal(draw_views(7, device, number, min(count, fewer)), views[: min(count, fewer)])
    for other in ((8, device, number), (7, device + 1, number), (7, device, number + 1)):
        assert not np.array_equal(draw_views(*other, 300), views)


def problem(training):
    """A network, images on devices with unequal numbers of them, and (K, P) parameters."""
    torch.manual_seed(1)
    sizes = (7, 3, 12, 12, 5)
    module, total = SmallCNN((2, 9, 8), 3, 2).double(), sum(sizes)
    inputs, targets = torch.rand(total, 2, 9, 8, dtype=torch.float64), torch.randint(3, (total,))
    shards = np.split(np.random.default_rng(0).permutation(total), np.cumsum(sizes)[:-1])
    row = parameters_to_vector(module.parameters()).detach()
    data = LocalData(inputs, targets, shards, Training(**{"augment": "flip_crop", "batch_size": 4} | training), 1)
    return module, data, row + 0.1 * torch.randn(len(sizes), len(row), dtype=torch.float64)


def batches_seen(data, device, number):
    """(images, targets) of one batch after another, image by image."""
    order, cuts = data.schedule(device, number)
    views = draw_views(data.seed, device, number, len(order))
    images = torch.stack([seen(data.inputs[row], view) for row, view in zip(order, views, strict=True)])
    return [(images[a:b], data.targets[order[a:b]]) for a, b in pairwise(cuts)]


@pytest.mark.parametrize("training", [{}, {"epochs": 2}, {"steps": 5}, {"batch_size": "full", "steps": 3}], ids=str)
def test_devices_learn_from_images_as_they_see_them_whatever_the_block(training):
    module, data, x = problem(training | {"lr": 0.1, "momentum": 0.5})
    wanted = x.clone()
    for device in range(len(x)):
        vector_to_parameters(x[device].clone(), module.parameters())
        descent = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.5)
        for images, targets in batches_seen(data, device, 3):
            descent.zero_grad()
            nn.functional.cross_entropy(module(images), targets).backward()
            descent.step()
        wanted[device] = parameters_to_vector(module.parameters()).detach()
    for form in (batched(module, "cross_entropy", 3, CPU), AnyModule(module, "cross_entropy", 3)):
        for block in (1, 2, len(x)):
            found, speed = x.clone(), torch.zeros_like(x)
            TorchLearner(form, data, block).learn((x, None), (found, speed), np.arange(len(x)), 3, None)
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_a_gradient_is_of_the_first_images_that_the_round_shows():
    module, data, x = problem({})
    form, wanted = AnyModule(module, "cross_entropy", 3), torch.empty_like(x)
    for device in range(len(x)):
        images, targets = batches_seen(data, device, 3)[0]
        form.gradient(x[device : device + 1], images[None], targets[None], wanted[device : device + 1])
    work = LocalWork(form, data, TorchLearner(form, data), x.dtype)
    work.round = 3
    torch.testing.assert_close(work.gradient(x), wanted, rtol=0, atol=1e-12)


def test_all_algorithms_see_the_same_images():
    plans = []
    for algorithm in ("p2pl", "dgd", "fedavg"):
        local = prepare(Experiment.of(SPEC | {"algorithm": algorithm})).work.data
        plan = local.plan(np.arange(4), 2)
        plans.append(local.samples(plan, slice(0, 4), 0)[0])
        assert not torch.equal(plans[-1], local.inputs[plan.rows[:, 0, : plan.counts[0, 0]]])
    assert torch.equal(plans[0], plans[1])
    assert torch.equal(plans[0], plans[2])


def test_evaluation_is_of_test_images_as_they_are():
    plain = prepare(Experiment.of(SPEC | {"training": {}, "engine": "torch"}))
    apart = []
    for one, other in zip(unfold(prepare(Experiment.of(SPEC))), unfold(plain), strict=True):
        assert plain.meter.measure(one.models).items() <= one.measures.items()
        apart.append((one.models - other.models).abs().max().item())
    assert apart[0] == 0
    assert min(apart[1:]) > 1e-3


def test_the_torch_engine_alone_takes_them(native, monkeypatch):
    monkeypatch.setattr(build, "built", lambda: native)
    assert prepare(Experiment.of(SPEC)).work.learner.name == "torch"
    assert prepare(Experiment.of(SPEC | {"training": {"augment": "none"}})).work.learner.name.startswith("native")
    with pytest.raises(SpecError, match=r"native learns from samples as they are, .* training\.augment: flip_crop"):
        prepare(Experiment.of(SPEC | {"engine": "native"}))


def test_the_theory_refuses_them_by_name():
    experiment = Experiment.of(SPEC | {"loss": "mse", "initialization": "shared"})
    for attempt in (
        lambda: predict(stage(experiment), Way()),
        lambda: forecast([experiment], data.load("digits"), Method()),
    ):
        with pytest.raises(SpecError, match=r"leave training\.augment out"):
            attempt()


def test_what_is_no_image_is_refused_by_name():
    spec = SPEC | {"dataset": "least_squares", "model": "linear", "loss": "mse"}
    with pytest.raises(SpecError, match=r"flip_crop takes images .* inputs of 'least_squares' are \(10,\)"):
        prepare(Experiment.of(spec))
    with pytest.raises(SpecError, match=r"training\.augment: expected one of none, flip_crop"):
        Experiment(training={"augment": "mixup"})


def test_no_augmentation_is_no_part_of_a_spec():
    assert Experiment(training={"augment": "none"}).key == Experiment().key != Experiment.of(SPEC).key
