"""The batched forms against autograd, one device at a time."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from p2pl.batched import AnyModule, BatchedMLP
from p2pl.learners import batched
from p2pl.metrics import Meter
from p2pl.models.mlp import ACTIVATIONS, MLP
from p2pl.registry import SpecError, model

CPU = torch.device("cpu")


def problem(name, loss, outputs=5, devices=3, batch=4, shape=(1, 28, 28), **options):
    """Two forms of a model, (K, P) parameters around its draws, and a batch for each device, in float64."""
    torch.manual_seed(0)
    module = model.call({"name": name, **options}, inputs=shape, outputs=outputs).double()
    row = nn.utils.parameters_to_vector(module.parameters()).detach()
    x = row + 0.1 * torch.randn(devices, len(row), dtype=torch.float64)
    inputs = torch.rand(devices, batch, *shape, dtype=torch.float64)
    return module, x, inputs, torch.randint(outputs, (devices, batch))


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("parametrization", ["standard", "ntk"])
@pytest.mark.parametrize(
    "options", [{"hidden": [7]}, {"hidden": [6, 5, 4]}, {"hidden": []}, {"hidden": [7], "bias": False}], ids=str
)
def test_the_written_out_derivative_is_that_of_autograd(loss, activation, parametrization, options):
    module, x, inputs, targets = problem(
        "mlp", loss, shape=(6,), activation=activation, parametrization=parametrization, **options
    )
    fast, plain = BatchedMLP(module, loss, 5), AnyModule(module, loss, 5)
    assert isinstance(batched(module, loss, 5, CPU), BatchedMLP)
    torch.testing.assert_close(fast.forward(x, inputs), plain.forward(x, inputs), rtol=0, atol=1e-12)
    torch.testing.assert_close(fast.forward(x, inputs[:1]), plain.forward(x, inputs[:1]), rtol=0, atol=1e-12)
    found, expected = torch.full_like(x, 9.0), torch.zeros_like(x)
    fast.gradient(x, inputs, targets, found)
    plain.gradient(x, inputs, targets, expected)
    assert expected.abs().max() > 1e-4
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


LARGE = [300, 200, 300, 10]  # a thousand images make its first two products large ones, but not its last
IMAGES = 1001  # the last is taken alone


def large(**options):
    """A wide perceptron in float32, parameters of two devices, images, and what it says of them in float64."""
    torch.manual_seed(0)
    module = MLP(LARGE, **options)
    row = nn.utils.parameters_to_vector(module.parameters()).detach()
    fast, plain = BatchedMLP(module, "mse", 10), BatchedMLP(module, "mse", 10)
    x = row + 0.1 * torch.randn(2, len(row))
    return fast, x, lambda images: plain.forward(x.double(), images[None].double())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("parametrization", ["standard", "ntk"])
def test_outputs_of_large_products_are_those_of_small_ones_and_of_each_device_alone(activation, parametrization, bias):
    fast, x, said = large(activation=activation, parametrization=parametrization, bias=bias)
    images = torch.randn(IMAGES, 1, 15, 20)
    found, wanted = fast.forward(x, images[None]), said(images)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-6 * wanted.abs().max().item())
    for device in range(2):
        assert torch.equal(fast.forward(x[device : device + 1], images[None])[0], found[device])


def test_outputs_are_of_the_inputs_that_are_given_now():
    """Other inputs may begin at the same place with the same shape; and the same ones may have changed."""
    fast, x, said = large()
    images = torch.randn(2 * IMAGES, 300)
    squares = torch.randn(300, 300)
    for given in (images[:IMAGES], images[::2], squares, squares.T):
        torch.testing.assert_close(fast.forward(x, given[None]).double(), said(given), rtol=0, atol=1e-4)
    squares.mul_(2)
    torch.testing.assert_close(fast.forward(x, squares.T[None]).double(), said(squares.T), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", model.entries)
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_gradients_of_every_model_are_those_of_differences(name, loss):
    """Along a random direction, against central differences of the loss of the average over the batch.

    In a narrow form of the model, if it has one.
    """
    narrow = {"width": 4} if "width" in model.entries[name].options else {}
    module, x, inputs, targets = problem(name, loss, devices=2, shape=(1, 32, 32), **narrow)
    form = batched(module, loss, 5, CPU)
    gradient = torch.empty_like(x)
    form.gradient(x, inputs, targets, gradient)
    direction = torch.randn(x.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    direction /= direction.norm()

    def value(step):
        output = form.forward(x + step * direction, inputs)
        if loss == "cross_entropy":
            return torch.stack([nn.functional.cross_entropy(o, t) for o, t in zip(output, targets, strict=True)])
        return (output - nn.functional.one_hot(targets, 5)).square().mean(dim=(1, 2))

    slope = (value(1e-8) - value(-1e-8)) / 2e-8  # so near, no ReLU of a deep network changes its side
    torch.testing.assert_close(gradient @ direction, slope, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", [AnyModule, BatchedMLP])
def test_a_gradient_is_added_to_the_part_that_is_kept(form):
    module, x, inputs, targets = problem("mlp", "cross_entropy", shape=(6,), hidden=[4])
    alone, velocity = torch.empty_like(x), torch.randn_like(x)
    form(module, "cross_entropy", 5).gradient(x, inputs, targets, alone)
    both = velocity.clone()
    form(module, "cross_entropy", 5).gradient(x, inputs, targets, both, keep=0.3)
    torch.testing.assert_close(both, 0.3 * velocity + alone, rtol=0, atol=1e-14)


def test_real_targets_are_taken_as_they_are():
    module, x, inputs, _ = problem("linear", "mse", outputs=2, shape=(6,))
    targets = torch.randn(3, 4, 2, dtype=torch.float64)
    gradient = torch.empty_like(x)
    BatchedMLP(module, "mse", 2).gradient(x, inputs, targets, gradient)
    error = torch.einsum("kbd,kcd->kbc", inputs, x.view(3, 2, 6)) - targets
    expected = torch.einsum("kbc,kbd->kcd", error, inputs) * 2 / 8
    torch.testing.assert_close(gradient, expected.reshape(3, -1), rtol=0, atol=1e-12)


def test_running_statistics_are_refused_by_name():
    with pytest.raises(SpecError, match="GroupNorm"):
        batched(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), "cross_entropy", 3, CPU)


@pytest.mark.parametrize("devices", [1, 8, 19])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_meter_measures_the_average_model_and_the_distance_from_it_and_changes_nothing(devices, dtype):
    draws = torch.Generator().manual_seed(0)
    x, inputs = torch.randn(devices, 5, generator=draws, dtype=dtype), torch.randn(7, 5, generator=draws, dtype=dtype)
    before, average = x.clone(), x.double().numpy().mean(axis=0)
    meter = Meter(lambda rows, some: (some @ rows.T).T[..., None], inputs, torch.zeros(7, 1), "mse", None, None)
    row = meter.measure(x)
    assert torch.equal(x, before)
    distance = np.sqrt(((x.double().numpy() - average) ** 2).sum(axis=1).mean())
    assert row["consensus_distance"] == pytest.approx(distance, rel=1e-12, abs=1e-12)
    answers = inputs.double().numpy() @ average
    assert row["loss_of_average"] == pytest.approx((answers**2).mean(), rel=1e-6 if dtype == torch.float32 else 1e-12)


def test_runs_side_by_side_are_measured_as_each_alone_and_the_first_of_the_largest_outputs_counts():
    draws = torch.Generator().manual_seed(0)
    x = torch.randint(-1, 2, (3, 4, 5 * 6), generator=draws).double()  # small whole numbers: outputs are often equal
    inputs, targets = torch.randint(0, 2, (40, 6), generator=draws).double(), torch.arange(40) % 5
    own = torch.rand(4, 5, generator=draws) > 0.3

    def outputs(rows, samples):
        return samples @ rows.view(-1, 5, 6).transpose(1, 2)

    meter = Meter(outputs, inputs, targets, "cross_entropy", own, None)
    for one, row in zip(x, meter.measure_all(x), strict=True):
        assert row == meter.measure(one)
        said = outputs(one, inputs)
        largest = torch.from_numpy(said.numpy().argmax(axis=2))
        assert (said == said.amax(dim=2, keepdim=True)).sum() > said[..., 0].numel()
        assert row["accuracy_devices"] == (largest == targets).double().mean(dim=1).tolist()
        losses = [F.cross_entropy(each, targets).item() for each in said]
        assert row["loss_devices"] == pytest.approx(losses, rel=1e-12)
