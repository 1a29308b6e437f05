"""The tangent kernel: the written-out form of perceptrons against Jacobians, and Jacobians against torch's autograd."""

import resource
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parameters_to_vector

from p2pl.models.cnn import SmallCNN
from p2pl.models.mlp import ACTIVATIONS, MLP
from p2pl.registry import SpecError
from theory import gates, kernel
from theory.jacobian import AnyModule
from theory.kernel import form_of, ntk
from theory.products import times_transposed


def vector(module):
    return parameters_to_vector(module.parameters()).detach().double()


def close(found, wanted):
    """To 1e-10 of the size of the whole."""
    return bool((found - wanted).norm() <= 1e-10 * wanted.norm())


@settings(deadline=None, max_examples=60)
@given(
    hidden=st.lists(st.integers(1, 9), max_size=3),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    parametrization=st.sampled_from(["standard", "ntk"]),
    bias=st.booleans(),
    averaged=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_perceptrons_kernel_is_that_of_its_jacobian(hidden, activation, parametrization, bias, averaged, seed):
    torch.manual_seed(seed)
    module = MLP([6, *hidden, 3], activation, parametrization, bias)
    left, right = torch.randn(5, 6).double(), torch.randn(4, 2, 3).double()
    form = AnyModule(module, vector(module), left[:1])
    ours, theirs = form.features(left), form.features(right)
    wanted = form.averaged_block(ours, theirs) if averaged else form.block(ours, theirs).reshape(15, 12)
    assert close(ntk(module, vector(module), left, right, averaged=averaged), wanted)


@pytest.mark.parametrize("module", [SmallCNN((1, 8, 8), 3, 2), nn.Sequential(nn.Flatten(), nn.Linear(64, 3))])
def test_any_modules_kernel_is_that_of_autograd(module):
    module = module.double()
    samples = torch.randn(4, 1, 8, 8).double()
    rows = []
    for output in module(samples).reshape(-1):
        parts = torch.autograd.grad(output, list(module.parameters()), retain_graph=True)
        rows.append(torch.cat([part.reshape(-1) for part in parts]))
    jacobian = torch.stack(rows)
    whole = ntk(module, vector(module), samples[:3], samples)
    assert close(whole, jacobian[:9] @ jacobian.T)
    trace = whole.view(3, 3, 4, 3).diagonal(dim1=1, dim2=3).mean(dim=2)
    assert close(ntk(module, vector(module), samples[:3], samples, averaged=True), trace)


def test_the_parameters_given_are_those_that_count_and_the_module_is_left_alone():
    module, other = MLP([6, 4, 3], "tanh"), MLP([6, 4, 3], "tanh")
    before, samples = vector(module).clone(), torch.randn(5, 6)
    assert close(ntk(module, vector(other), samples, samples), ntk(other, vector(other), samples, samples))
    assert torch.equal(vector(module), before)


@pytest.mark.parametrize("module", [MLP([6, 5, 4, 3]), nn.Linear(6, 3)])
@pytest.mark.parametrize("averaged", [False, True])
def test_small_tiles_give_the_same_and_too_small_ones_are_refused(module, averaged):
    left, right = torch.randn(7, 6), torch.randn(5, 6)
    whole = ntk(module, vector(module), left, right, averaged=averaged)
    form = form_of(module, vector(module), left[:1].double())
    pair = 8 * form.floats(1, 1, averaged)
    rest = 8 * whole.numel() + 16 * len(vector(module))
    memory = rest + 3 * pair
    assert close(ntk(module, vector(module), left, right, averaged=averaged, memory=memory), whole)
    with pytest.raises(SpecError, match="single pair of samples"):
        ntk(module, vector(module), left, right, averaged=averaged, memory=rest + pair - 1)
    with pytest.raises(SpecError, match=r"N = 7 and 5 samples of C = 3 outputs .* fewer samples"):
        ntk(module, vector(module), left, right, averaged=averaged, memory=8 * whole.numel() - 1)


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("module", [MLP([6, 5, 4, 3]), nn.Linear(6, 3), SmallCNN((1, 8, 8), 3, 2)])
@pytest.mark.parametrize("tiles", [(7, 7), (3, 7), (2, 5), (1, 1)])
def test_a_kernel_of_one_set_is_that_of_two_equal_ones(module, tiles, averaged, monkeypatch):
    rows, columns = tiles
    monkeypatch.setattr(kernel, "OWN", rows)
    monkeypatch.setattr(kernel, "tile", lambda *_: (rows, columns))
    samples = torch.randn(7, *((1, 8, 8) if isinstance(module, SmallCNN) else (6,)))
    found = ntk(module, vector(module), samples, samples, averaged=averaged)
    assert close(found, found.T)
    assert close(found, ntk(module, vector(module), samples, samples.clone(), averaged=averaged))


@pytest.mark.parametrize("sides", [(40, 50, 64), (40, 50, 3), (31, 50, 64)])
def test_single_precision_by_the_wider_library_is_single_precision(sides):
    n, m, w = sides
    left, right = torch.randn(n, w), torch.randn(m, w)
    found = times_transposed(left, right)
    torch.testing.assert_close(found, (left.double() @ right.double().T).float(), rtol=1e-5, atol=1e-5)
    double = times_transposed(left.double(), right.double())
    torch.testing.assert_close(double, left.double() @ right.double().T, rtol=1e-14, atol=1e-13)


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize(("few", "step", "side"), [(1, 4, 1), (18, 4, 2), (18, 128, 32), (10**6, 4, 3)])
def test_units_that_are_the_same_at_a_few_samples_are_summed_once(activation, few, step, side, monkeypatch):
    """Against the Jacobian: samples near one another, between which few ReLUs of 60 change."""
    for name, value in (("ROWS", few), ("STEP", step), ("SIDE", side)):
        monkeypatch.setattr(gates, name, value)
    module = MLP([6, 60, 3], activation)
    samples = (torch.randn(3, 1, 6) + 0.1 * torch.randn(3, 4, 6)).reshape(12, 6).double()
    others = torch.randn(5, 6).double()
    slopes = form_of(module, vector(module), samples[:1]).features(samples).gate
    each, once = gates.split(slopes[:4])
    assert (len(each) + len(once) < 60) == (activation == "relu" and step == 4)
    form = AnyModule(module, vector(module), samples[:1])
    ours, theirs = form.features(samples), form.features(others)
    assert close(ntk(module, vector(module), samples, samples), form.block(ours, ours).reshape(36, 36))
    assert close(ntk(module, vector(module), samples, others), form.block(ours, theirs).reshape(36, 15))


def test_neighbours_are_those_at_which_the_fewest_units_differ():
    slopes = (torch.randn(23, 50) + 0.5 * torch.randn(1, 50) > 0).double()
    groups = gates.neighbours(slopes, 5)
    assert torch.equal(torch.cat(groups).sort().values, torch.arange(23))
    assert [len(group) for group in groups] == [5, 5, 5, 5, 3]
    left = torch.arange(23)
    for group in groups:
        others = left[~torch.isin(left, group)]
        differ = (slopes[left[0]] != slopes).sum(dim=1)
        assert left[0] in group
        assert not len(others) or differ[group].max() <= differ[others].min()
        left = others


@pytest.mark.parametrize(("widths", "memory"), [([8, 1000], 2**28), ([8, 64, 300], 2**24)])
def test_many_outputs_need_little_more_than_their_kernel(widths, memory):
    module, samples = MLP(widths), torch.randn(3, 8).double()
    found = ntk(module, vector(module), samples[:1], samples[1:], memory=memory)
    form = AnyModule(module, vector(module), samples[:1])
    some = 50  # outputs
    ours, theirs = (form.features(part)[:, :some] for part in (samples[:1], samples[1:]))
    block = form.block(ours, theirs)
    assert close(found.view(1, widths[-1], 2, widths[-1])[:, :some, :, :some], block)


MEASURE = """
import torch
from theory.kernel import ntk
from p2pl.models.mlp import MLP
from p2pl.models.cnn import SmallCNN
from p2pl.models.resnet import resnet20
module = {module}
vector = torch.nn.utils.parameters_to_vector(module.parameters()).detach()
peak = lambda: int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
few, many = torch.randn(2, 1, 8, 8), torch.randn({samples}, 1, 8, 8)
ntk(module, vector, few, few)
before = peak()
ntk(module, vector, many, many, memory={memory})
print(peak() - before)
"""


@pytest.mark.parametrize(
    ("module", "samples", "memory"),
    [
        ("MLP([64, 2000, 500, 10])", 100, 40 * 2**20),
        ("SmallCNN((1, 8, 8), 10, 16)", 50, 60 * 2**20),
        ("resnet20((1, 8, 8), 10, 8)", 12, 40 * 2**20),
    ],
)
def test_what_is_held_stays_within_the_memory_asked_for(module, samples, memory):
    script = MEASURE.format(module=module, samples=samples, memory=memory)
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(found.stdout) <= memory + 4 * resource.getpagesize() * 256


def test_what_depends_on_the_batch_or_on_chance_is_refused_by_name():
    samples = torch.randn(3, 6)
    norm, drop = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3)), nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3))
    with pytest.raises(SpecError, match=r"'1' \(BatchNorm1d\) is BatchNorm in training mode"):
        ntk(norm, vector(norm), samples, samples)
    with pytest.raises(SpecError, match=r"'0' \(Dropout\) draws at random"):
        ntk(drop, vector(drop), samples, samples)
    assert ntk(norm.eval(), vector(norm), samples, samples).shape == (9, 9)


class Diagonal(nn.Module):
    """No layer that could be unfolded."""

    def __init__(self):
        super().__init__()
        self.scales = nn.Parameter(torch.ones(3))

    def forward(self, inputs):
        return self.scales * inputs


def test_a_module_without_such_layers_goes_by_its_jacobian():
    samples = torch.randn(4, 3).double()
    module = Diagonal().double()
    found = ntk(module, vector(module), samples, samples).view(4, 3, 4, 3)
    torch.testing.assert_close(found, torch.einsum("nc,mc,ce->ncme", samples, samples, torch.eye(3).double()))


def test_where_slopes_are_switched_off_the_kernel_is_the_same():
    module = SmallCNN((1, 8, 8), 3, 2).double()
    samples = torch.randn(2, 1, 8, 8).double()
    with torch.no_grad():
        off = ntk(module, vector(module), samples, samples)
    torch.testing.assert_close(off, ntk(module, vector(module), samples, samples), rtol=0, atol=0)
