"""What the linearized network predicts of every device, from its initialization alone.

    f(x, theta) = f_0(x) + J(x) (theta - theta_0)       theta_k(t) = theta_0 + J^T c_k(t)       Theta = J J^T

    kernel.py, dense.py     Theta of any torch model; of perceptrons without a Jacobian
    unfolded.py, layers.py, jacobian.py    of convolutions; of anything else
    linear.py               products with J and its transpose
    expansion.py            an experiment's kernels about one point
    local.py, alike.py, phases.py           local steps of one device; of several, collapsed; of all
    orders.py, columns.py   cooperation: P2PL, DSGD, DGD, FedAvg
    exchanges.py            the run's own draws: starts, failures, participants
    frame.py, dynamics.py   the recursion; cuts, after which it is linearized anew
    predict.py, compare.py  `p2pl predict`, `p2pl compare`; limits.py: where they cannot be trusted
    curvature.py, rounds.py, spectrum.py, modes.py, condensation.py, counted.py,
    certified.py, crossing.py, playing.py, onset.py, onset_map.py             what the operators' spectra say
    growth.py, apart.py     `p2pl onset`: the onset of growth, predicted and seen in runs made apart
    restricted.py, path.py, batches.py, beside.py, forecast.py    `p2pl forecast`: many settings, for less than runs
    check.py                `p2pl compare` for forecasts

Nothing here but restricted.py, which forecasts and predicts nothing, imports what learns in a run (`p2pl.engine`,
`p2pl.training`, `p2pl.algorithms`, ...): a test holds this, so that agreement between the two means something.
Derivation and measurements: docs/theory.md.
"""
