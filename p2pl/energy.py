"""What learning costs a device: multiply-adds and bits, each at a price that is known to a factor of ten or more.

    E = e_mac * multiply-adds + e_bit * (bits sent + bits heard)

One multiply-add in float32 takes some 5 pJ in a 45 nm core (Horowitz 2014), some hundred times that on a whole board; a
bit over a radio link 50 nJ and what its amplifier takes (Heinzelman et al. 2000), or less. Frames, waiting and memory
are left out, so ranks are to be read as regions.
"""

from __future__ import annotations

import numpy as np

from p2pl.experiment import Experiment

MAC = (5e-12, 200e-12, 2000e-12)  # joules: a core alone; boards
BIT = (15e-9, 50e-9, 280e-9)  # joules: low-power radios, by their currents; Heinzelman's; with amplifier
PASSES = 3  # a step takes a forward pass, and about twice as much backward

Quantity = float | np.ndarray


def multiply_adds(experiment: Experiment, parameters: int, rounds: float) -> float:
    """Of one device in so many rounds of `training.steps`: for dense layers one a parameter, sample and pass.

    Raises ValueError for runs by epochs or of full batches, whose devices may differ.
    """
    training = experiment.training
    if training.steps is None or isinstance(training.batch_size, str):
        raise ValueError("multiply-adds are told for runs with training.steps and a batch_size")
    return PASSES * float(parameters) * training.batch_size * training.steps * rounds


def joules(multiply_adds: Quantity, bits: Quantity, e_mac: Quantity, e_bit: Quantity) -> Quantity:
    """Energy of a device that hears as many bits as it sends; arrays of shapes that go together, or numbers."""
    return e_mac * multiply_adds + 2 * e_bit * bits
