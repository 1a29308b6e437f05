"""The native engine against a plain loop of torch in float64, with every option."""

import numpy as np
import pytest
import torch
from autograd_loop import OPTIONS, check, learners_of, problem
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from p2pl.batched import BatchedMLP
from p2pl.groups import Training
from p2pl.models.mlp import ACTIVATIONS
from p2pl.native.learner import NativeLearner, Samples, apart_from
from p2pl.training import LocalWork, TorchLearner


@pytest.mark.parametrize("drifts", [False, True], ids=["", "drift"])
@pytest.mark.parametrize(("density", "base"), [(1.0, 0.0), (0.2, 0.0), (0.2, -0.4), (0.2, 2.0)])
@pytest.mark.parametrize("options", OPTIONS)
def test_every_rule_of_descent(options, density, base, drifts, libraries):
    training = Training(batch_size=7, lr=0.02, **OPTIONS[options])
    sizes, widths = [23, 7, 1, 30], [150, 53, 10]
    module, data, *start, drift = problem(sizes, widths, training, density, base=base, activation="tanh")
    learners = learners_of(libraries, module, data, "cross_entropy")
    check(learners, "cross_entropy", module, data, *start, drift if drifts else None)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("parametrization", ["standard", "ntk"])
def test_every_activation_loss_and_parametrization(activation, loss, parametrization, libraries):
    training = Training(batch_size=10, lr=0.02)
    options = {"activation": activation, "parametrization": parametrization}
    module, data, *start, _ = problem([25, 25], [70, 40, 17, 10], training, **options)
    check(learners_of(libraries, module, data, loss), loss, module, data, *start, None)


@settings(max_examples=150, deadline=None)
@given(
    widths=st.lists(st.integers(1, 70), min_size=0, max_size=5),
    ends=st.tuples(st.integers(1, 150), st.integers(2, 20)),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    batch=st.integers(1, 17) | st.just("full"),
    rule=st.sampled_from(list(OPTIONS.values())),
    activation=st.sampled_from(list(ACTIVATIONS)),
    kind=st.sampled_from(["cross_entropy", "mse", "values"]),
    parametrization=st.sampled_from(["standard", "ntk"]),
    bias=st.booleans(),
    drifts=st.booleans(),
    density=st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0]),
    base=st.sampled_from([0.0, -0.5, 0.3]),
)
def test_any_shape(libraries, widths, ends, sizes, batch, rule, kind, drifts, density, base, **options):
    training = Training(batch_size=batch, lr=0.01, steps=5, **rule)
    shape = [ends[0], *widths, ends[1]]
    values = kind == "values"
    module, data, *start, drift = problem(sizes, shape, training, density, values=values, base=base, **options)
    loss = "mse" if kind == "values" else kind
    check(learners_of(libraries, module, data, loss), loss, module, data, *start, drift if drifts else None)


def test_large_batches_of_sparse_inputs_and_many_outputs(libraries):
    for batch, outputs in ((65, 10), (64, 300), (100, 40)):
        training = Training(batch_size=batch, lr=0.02)
        module, data, *start, _ = problem([130, 70], [200, 300, outputs], training, 0.1, activation="tanh")
        check(learners_of(libraries, module, data, "mse"), "mse", module, data, *start, None)


def test_a_step_follows_the_gradient_of_differences(libraries):
    """One step without momentum from w is -lr times the slope of the loss, taken by central differences in float64."""
    training = Training(batch_size="full", lr=0.5, momentum=0.0)
    module, data, x, velocity, _ = problem([12], [9, 8, 5], training, activation="gelu")

    def value(row):
        parts = row.split([p.numel() for p in module.parameters()])
        shaped = {name: part.view_as(p) for (name, p), part in zip(module.named_parameters(), parts, strict=True)}
        output = torch.func.functional_call(module.double(), shaped, data.inputs[data.shards[0]].double())
        return F.cross_entropy(output, data.targets[data.shards[0]])

    directions = torch.eye(x.shape[1], dtype=torch.float64) * 1e-5
    row = x[0].double()
    slope = torch.stack([value(row + d) - value(row - d) for d in directions]) / 2e-5
    for learner in learners_of(libraries, module.float(), data, "cross_entropy")[1:]:
        found = torch.empty_like(x)
        learner.learn((x, velocity), (found, torch.empty_like(x)), np.arange(1), 1, None)
        torch.testing.assert_close((row - found[0].double()) / 0.5, slope, rtol=1e-4, atol=1e-6)


def test_a_device_alone_gets_the_bits_that_it_gets_among_others(libraries):
    for density, base, batch in [(1.0, 0.0, 7), (0.2, 0.0, 7), (0.2, -0.4, 7), (0.2, 0.0, 65)]:  # 65: one has
        training = Training(batch_size=batch, lr=0.02)
        module, data, x, velocity, _ = problem([23, 7, 1, 70], [150, 53, 10], training, density, base=base)
        for learner in learners_of(libraries, module, data, "cross_entropy")[1:]:
            together = x.clone(), velocity.clone()
            learner.learn((x, velocity), together, np.arange(4), 1, None)
            for some in ([3], [1, 0], [2]):
                apart = x.clone(), velocity.clone()
                learner.learn((x, velocity), apart, np.array(some), 1, None)
                others = [k for k in range(4) if k not in some]
                for part, whole, before in zip(apart, together, (x, velocity), strict=True):
                    assert torch.equal(part[some], whole[some])
                    assert torch.equal(part[others], before[others])


@pytest.mark.parametrize("momentum", [0.5, 0.0])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("widths", [[20, 16, 10], [20, 16, 17], [20, 16, 16]])
def test_a_device_that_diverges_does_no_harm_to_those_after_it(widths, loss, momentum, libraries):
    training = Training(batch_size=4, lr=0.02, momentum=momentum)
    module, data, x, velocity, _ = problem([12, 12, 12], widths, training)
    x[0] *= 1e25
    for learner in learners_of(libraries, module, data, loss)[1:]:
        together, apart = [(torch.zeros_like(x), torch.zeros_like(x)) for _ in range(2)]
        learner.learn((x, velocity), together, np.arange(3), 1, None)
        learner.learn((x, velocity), apart, np.arange(1, 3), 1, None)
        assert not together[0][0].isfinite().all()
        for part, whole in zip(apart, together, strict=True):
            assert whole[1:].isfinite().all()
            assert torch.equal(part[1:], whole[1:])


def test_models_that_fit_in_no_cache_get_the_bits_that_each_gets_alone(libraries):
    module, data, *start, _ = problem([1 + k % 3 for k in range(27)], [784, 200, 10], Training(batch_size=1))
    x, velocity = (torch.cat([torch.zeros(3), part.flatten()])[3:].view_as(part) for part in start)  # amid a line
    assert 4 * x.numel() > 16 << 20
    for learner in learners_of(libraries, module, data, "cross_entropy")[1:]:
        together, apart = (tuple(torch.empty(x.numel() + 5)[5:].view_as(x) for _ in "xv") for _ in range(2))
        learner.learn((x, velocity), together, np.arange(27), 1, None)
        for k in range(27):
            learner.learn((x, velocity), apart, np.array([k]), 1, None)
        assert all(map(torch.equal, apart, together))


def test_devices_that_are_left_out_keep_their_rows_and_reset_velocities_are_zero(libraries):
    training = Training(batch_size=5, velocity="reset")
    module, data, x, velocity, _ = problem([10, 10], [6, 5, 3], training)
    for learner in learners_of(libraries, module, data, "mse"):
        work = LocalWork(BatchedMLP(module, "mse", 3), data, learner, torch.float32)
        new_x, new_velocity = work.train(x, velocity, devices=np.array([1]))
        assert torch.equal(new_x[0], x[0])
        assert not new_velocity[0].any()
        assert new_velocity[1].any()


def test_inputs_that_are_not_what_most_are():
    inputs = torch.zeros(2, 70)
    inputs[0, [0, 63, 64]] = torch.tensor([1.0, -1.0, 0.25])
    for base in (0.0, -0.5):
        samples = Samples(inputs + base, listed=True)
        assert samples.base == base
        assert samples.sparse["active"].tolist() == [[1 + 2**63, 1], [0, 0]]
        assert samples.sparse["begins"].tolist() == [0, 3, 3]
        np.testing.assert_array_equal(samples.sparse["apart"], [1, -1, 0.25])
        assert samples.sparse["places"].tolist() == [0, 63, 64]
        assert samples.sparse.keys() - Samples(inputs + base).sparse.keys() == {"places"}
    assert apart_from(inputs.numpy(), 1.0, listed=True) == {}
    assert Samples(torch.arange(6.0).view(2, 3)).sparse == {}


@pytest.mark.parametrize(("density", "base"), [(0.0, 0.0), (0.2, 0.0), (0.2, -0.4), (1.0, 0.0)])
@pytest.mark.parametrize("widths", [[70, 3], [130, 9, 2], [65, 40, 300, 11], [784, 32, 10], [100, 90, 3]])
def test_outputs_are_torchs(density, base, widths, libraries):
    module, data, x, *_ = problem([3, 4], widths, Training(), activation="tanh")
    samples = torch.randn(50, widths[0]) * (torch.rand(50, widths[0]) < density) + base
    model = BatchedMLP(module, "mse", widths[-1])
    exact = TorchLearner(model, data).outputs(x.double(), samples.double())
    for library in libraries:
        learner = NativeLearner(library, module, "mse", data)
        for some in (samples, samples[:1], samples[:24]):
            assert (learner.outputs(x, some) - exact[:, : len(some)]).abs().max() <= 2e-6 * max(1, exact.abs().max())
