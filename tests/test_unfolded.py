"""The tangent kernel by unfolding is that of the Jacobian, whatever the convolutions."""

import math
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parameters_to_vector
from torch.utils.flop_counter import FlopCounterMode

from p2pl.models.cnn import SmallCNN
from p2pl.models.mlp import MLP
from p2pl.models.resnet import resnet18, resnet20
from p2pl.models.vgg import vgg11
from theory.jacobian import AnyModule
from theory.kernel import ntk
from theory.layers import Layer
from theory.unfolded import SAMPLES, Unfolded


def vector(module):
    return parameters_to_vector(p for p in module.parameters() if p.requires_grad).detach().double()


def drawn(module, *shape):
    """Two different sets of samples, one of more than are taken together, and the module with all parameters drawn."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=1 / math.sqrt(parameter[0].numel()))
    return torch.randn(SAMPLES + 1, *shape).double(), torch.randn(2, *shape).double()


def close(found, wanted):
    """To 1e-10 of the size of the whole, which is not nothing."""
    return bool((found - wanted).norm() <= 1e-10 * wanted.norm()) and wanted.norm() > 0


def agree(module, left, right):
    """Whether the kernel of the form that is chosen, full and averaged, is that of the Jacobian."""
    form = AnyModule(module, vector(module), left[:1])
    ours, theirs = form.features(left), form.features(right)
    full = form.block(ours, theirs).reshape(len(left) * form.outputs, len(right) * form.outputs)
    averaged = form.averaged_block(ours, theirs)
    return close(ntk(module, vector(module), left, right), full) and close(
        ntk(module, vector(module), left, right, averaged=True), averaged
    )


def unfolded(module, sample):
    return set(Unfolded(module, vector(module), sample).layers)


class Scaled(nn.Module):
    """A layer of the NTK parametrization: weights of variance 1, outputs over sqrt(fan-in)."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x) / math.sqrt(self.layer.weight[0].numel())


CONVOLUTIONS = st.fixed_dictionaries(
    {
        "kernel_size": st.sampled_from([1, 2, 3, (3, 1)]),
        "stride": st.sampled_from([1, 2, (1, 2)]),
        "padding": st.sampled_from([2, (2, 3)]),  # enough for any of these kernels on a single pixel
        "dilation": st.sampled_from([1, 2, (1, 2)]),
        "groups": st.sampled_from([1, 2]),
        "bias": st.booleans(),
        "padding_mode": st.sampled_from(["zeros", "replicate"]),
    }
)
BETWEEN = {
    "tanh": lambda channels: nn.Tanh(),
    "relu": lambda channels: nn.ReLU(inplace=True),
    "norm": lambda channels: nn.GroupNorm(1, channels),
    "max": lambda channels: nn.MaxPool2d(2, padding=1),
    "average": lambda channels: nn.AvgPool2d(2, padding=1),
}
LAYERS = st.tuples(CONVOLUTIONS, st.sampled_from([2, 4, 6]), st.sampled_from([*BETWEEN]), st.booleans(), st.booleans())


def network(layers):
    """Of 2 x 7 x 6 inputs and 3 outputs."""
    parts, planes = [], 2
    for options, channels, between, same, scaled in layers:
        options |= {"stride": 1, "padding": "same"} if same else {}
        convolution = nn.Conv2d(planes, channels, **options)
        parts += [Scaled(convolution) if scaled else convolution, BETWEEN[between](channels)]
        planes = channels
    module = nn.Sequential(*parts, nn.Flatten()).double()
    return module.append(nn.Linear(module(torch.zeros(1, 2, 7, 6).double()).shape[-1], 3)).double()


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # it says that it makes a copy
@settings(deadline=None, max_examples=30)
@given(layers=st.lists(LAYERS, min_size=1, max_size=3), by_positions=st.sampled_from([True, False, None]))
def test_any_convolutional_networks_kernel_is_that_of_its_jacobian(layers, by_positions):
    module = network(layers)
    left, right = drawn(module, 2, 7, 6)
    assert unfolded(module, left[:1]) == {
        path for path, part in module.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)
    }
    if by_positions is None:
        assert agree(module, left, right)
    else:
        with mock.patch.object(Layer, "by_positions", by_positions):
            assert agree(module, left, right)


@pytest.mark.parametrize("norm", ["group", "evonorm", "none"])
@pytest.mark.parametrize(("model", "size"), [(resnet20, 8), (resnet18, 16), (vgg11, 32)])
def test_deep_models(model, size, norm):
    module = model((3, size, size), 2, width=2, norm=norm).double()
    left, right = drawn(module, 3, size, size)
    assert agree(module, left[:2], right[:1])


def test_the_small_cnn():
    module = SmallCNN((3, 12, 12), 4, 3).double()
    assert agree(module, *drawn(module, 3, 12, 12))


class Whole(nn.Module):
    """A layer whose weights act a second time as what `again` makes of (weights, outputs)."""

    def __init__(self, again):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.last, self.again = nn.Linear(2 * 4 * 4, 3), again

    def forward(self, x):
        h = torch.tanh(self.second(torch.tanh(self.first(x))))
        return self.again(self, h)


class Own(nn.Conv2d):
    """A convolution that is none."""

    def forward(self, x):
        return 2 * super().forward(x)


def tied(module):
    module.second.weight = module.first.weight


def parametrized(module):
    nn.utils.parametrize.register_parametrization(module.first, "weight", nn.Tanh())


def of_its_own(module):
    module.first = Own(2, 2, 3, padding=1)


def one_dimensional(module):
    module.first = nn.Sequential(nn.Flatten(2), nn.Conv1d(2, 2, 3, padding=1), nn.Unflatten(2, (4, 4)))


def plane_by_plane(module):
    parts = nn.Unflatten(0, (2, 1)), nn.Conv2d(1, 1, 3, padding=1), nn.Flatten(0, 1), nn.Unflatten(0, (1, 2))
    module.first = nn.Sequential(nn.Flatten(0, 1), *parts)


ONCE = staticmethod(lambda module, h: module.last(h.flatten(1)))


@pytest.mark.parametrize(
    ("change", "again", "left_alone"),
    [
        (None, lambda m, h: m.last(m.first(h).flatten(1)), {"first"}),
        (None, lambda m, h: m.last(h.flatten(1)) + m.first.weight.square().sum(), {"first"}),
        (None, lambda m, h: m.last(h.flatten(1)) * m.last.bias, {"last"}),
        (None, lambda m, h: m.last(h.flatten(1)) + m.second(input=h).sum(), {"second"}),
        (tied, ONCE, {"first", "second"}),
        (parametrized, ONCE, {"first"}),
        (of_its_own, ONCE, {"first"}),
        (one_dimensional, ONCE, {"first"}),
        (plane_by_plane, ONCE, {"first"}),
    ],
)
def test_layers_that_act_in_another_way_are_left_to_the_jacobian(change, again, left_alone):
    module = Whole(again)
    if change:
        change(module)
    left, right = drawn(module.double(), 2, 4, 4)
    assert unfolded(module, left[:1]) == {"first", "second", "last"} - left_alone
    assert agree(module, left, right)


def test_layers_that_are_fixed_or_never_called_and_perceptrons_within():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), MLP([8, 4, 3], parametrization="ntk"), nn.Linear(3, 3))
    module[0].spare = nn.Linear(2, 2)
    module[3].requires_grad_(False)
    left, right = drawn(module.double(), 1, 4, 4)
    assert unfolded(module, left[:1]) == {"0"}
    assert agree(module, left, right)


def test_no_hooks_are_left_behind():
    module = SmallCNN((1, 8, 8), 3, 2).double()
    samples = torch.randn(2, 1, 8, 8).double()
    ntk(module, vector(module), samples, samples)
    assert not any(part._forward_hooks for part in module.modules())


@pytest.mark.parametrize("by_positions", [True, False])
def test_the_multiply_adds_are_those_that_the_choice_counts(by_positions):
    n, m, c, k, f, p = 5, 4, 3, 7, 2 * 9, 4
    module = nn.Sequential(nn.Conv2d(2, k, 3, bias=False), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(k, c)).double()
    module[-1].requires_grad_(False)
    samples = torch.randn(n, 2, 4, 4).double()
    with mock.patch.object(Layer, "by_positions", by_positions):
        form = Unfolded(module, vector(module), samples[:1])
        ours, theirs = form.features(samples), form.features(samples[:m])
        with FlopCounterMode(display=False) as counter:
            form.block(ours, theirs)
    wanted = p**2 * (f + c**2 * k) if by_positions else c**2 * k * f
    assert counter.get_total_flops() == 2 * n * m * wanted


def test_early_layers_go_by_gradients_and_late_ones_by_positions():
    """As in VGG-11, where the second would take 119 times as many multiply-adds first, and 1 / 264 as many last."""
    first, last = nn.Conv2d(64, 128, 3), nn.Conv2d(512, 512, 3)
    assert not Layer(first, torch.Size([1, 128, 16, 16]), 10).by_positions
    assert Layer(last, torch.Size([1, 512, 2, 2]), 10).by_positions
    assert Layer(nn.Linear(512, 10), torch.Size([1, 10]), 10).by_positions
