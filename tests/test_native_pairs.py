"""Two batches in one sweep of the native engine, and the units of its velocities, against the plain loop."""

import numpy as np
import pytest
import torch
from autograd_loop import OPTIONS, check, learners_of, problem

from p2pl.groups import Training


@pytest.mark.parametrize("options", [*OPTIONS, "small steps"])
@pytest.mark.parametrize(
    ("batch", "sizes", "steps"), [(12, [28, 5], None), (1, [3, 8], None), (7, [20], 5), (13, [30], 4)]
)
@pytest.mark.parametrize("widths", [[784, 20, 10], [70, 33, 16, 17], [1, 1, 2], [50, 3], [65, 100, 90, 80, 10]])
def test_batches_that_share_a_sweep(widths, batch, sizes, steps, options, libraries):
    """Two at a time: odd numbers of steps, last batches of fewer samples, batches that are too large for it."""
    rule = OPTIONS.get(options, {"momentum": 1e-5})  # too small a product with the rate for the plain rule's units
    training = Training(batch_size=batch, lr=0.02, steps=steps, **rule)
    module, data, *start, drift = problem(sizes, widths, training, activation="tanh", parametrization="ntk")
    learners = learners_of(libraries, module, data, "cross_entropy")
    for moves in (None, drift):
        check(learners, "cross_entropy", module, data, *start, moves)


def test_a_rate_of_zero_moves_velocities_alone(libraries):
    training = Training(batch_size=3, lr=0.02)
    module, data, x, velocity, _ = problem([9], [20, 6, 3], training, activation="tanh")
    found = []
    data.factors = np.zeros(2)
    for learner in learners_of(libraries, module, data, "mse"):
        found.append((torch.empty_like(x), torch.empty_like(velocity)))
        learner.learn((x, velocity), found[-1], np.arange(1), 1, None)
    for new_x, new_velocity in found:
        assert torch.equal(new_x, x)
        torch.testing.assert_close(new_velocity, found[0][1], rtol=1e-5, atol=1e-7)
