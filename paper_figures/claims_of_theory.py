"""The claims about predicted dynamics; see `paper_figures.claims`, which judges them with all others.

The errors are those of `p2pl compare`: the largest over all evaluated moments, both phases, all devices.
"""

from __future__ import annotations

from p2pl.errors import Error, Onset, PowerLaw, Ranks, Typical
from p2pl.experiment import Experiment
from p2pl.verdicts import Claim, Rule, above, below, within

DYNAMICS, OURS = "arXiv 2409.15267 [A], limit ours", "[C]"
WIDTHS, MORE_SEEDS = "theory_width.none.errors", "theory_1024.none.errors"
CUTS = "theory_cuts.geometric.errors"
LAZY, SETTINGS = "theory_lazy.none.errors", "theory_settings.none.errors"
ONSET = "theory_onset.onset"
FORECAST, AT = "forecast.span.errors", {"target": 0.6}
NAMED = ("mixing before learning", "DGD")  # the abstract speaks of DGD, ATC and CTA
SAID = {
    "test_predictions": "test outputs (of their change)",
    "train_loss": "training loss",
    "test_accuracy": "test accuracy",
    "disagreement": "disagreement",
}


def width(experiment: Experiment) -> float:
    return float(experiment.model.options["hidden"][0])


def alpha(experiment: Experiment) -> float:
    return float(experiment.model.options["alpha"])


def bounded(experiment: str, arm: str, units: int, source: str, **limits: float) -> tuple[Claim, ...]:
    """That a network's prediction errs by less than so many per cent in each of these measures."""
    where = {"arm": arm, "model.hidden": f"[{units}]"}
    how = "linearized anew at rounds 2, 4, 8, ..." if experiment == CUTS else "from one linearization at the start"
    return tuple(
        Claim(
            f"{arm} {units}{', cuts' if experiment == CUTS else ''}: {value}",
            f"{units} {arm} units, {how}: error in {SAID[value]} below {limit:g}"
            f" {'%' if value != 'test_accuracy' else 'point' if limit == 1 else 'points'}.",
            source,
            experiment,
            Error(where, value, "points" if value == "test_accuracy" else "%"),
            below(limit),
        )
        for value, limit in limits.items()
    )


def falls(experiment: str, arm: str, power: float, rule: Rule) -> Claim:
    says = f"The error in test outputs falls as width^{power:g}: {arm}."
    effect = PowerLaw({"arm": arm}, "test_predictions", width, power)
    return Claim(f"width^{power:g}, {arm}", says, OURS, experiment, effect, rule)


THEORY = (
    *bounded(MORE_SEEDS, "relu", 1024, DYNAMICS, test_predictions=5, train_loss=8, test_accuracy=1.5),
    *bounded(WIDTHS, "relu", 4096, DYNAMICS, test_predictions=2.5, train_loss=5, test_accuracy=1, disagreement=8),
    *bounded(WIDTHS, "erf", 1024, DYNAMICS, test_predictions=2, train_loss=2),
    falls(WIDTHS, "relu", -0.5, within(0.15)),
    falls(WIDTHS, "erf", -0.5, within(0.15)),
    *bounded(CUTS, "relu", 1024, OURS, test_predictions=1.5, train_loss=2, test_accuracy=1),
    *bounded(CUTS, "relu", 256, OURS, test_predictions=5, train_loss=2.5),
    *bounded(CUTS, "erf", 256, OURS, test_predictions=2, train_loss=1),
    Claim("lazy, alpha 64", "256 erf units, alpha = 64: error in test outputs below 0.1 %.", OURS, LAZY,
          Error({"arm": "64"}, "test_predictions"), below(0.1)),
    Claim("alpha^-1", "The error in test outputs falls as 1 / alpha.", OURS, LAZY,
          PowerLaw({}, "test_predictions", alpha, -1), within(0.1)),
    *(Claim(f"predicted: {arm}", f"512 relu units, {arm}: error in test outputs below 10 %.",
            DYNAMICS if arm in NAMED else OURS, SETTINGS,
            Error({"arm": arm}, "test_predictions"), below(10))
      for arm in ("complete graph", "star", "60 % of links fail", "IID", "mixing before learning", "DGD", "MNIST",
                  "16 devices", "weight decay")),
    *(Claim(f"onset: {arm}", f"Lazy networks, {arm}: growth begins within 3 % of the predicted learning rate.", OURS,
            ONSET, Onset({"arm": arm}), within(3))
      for arm in ("1 step", "1 step, momentum", "5 steps", "5 steps, momentum")),
    Claim("forecast: accuracy", "Forecasts of 15 settings: mean error in test accuracy below 3 points.",
          OURS, FORECAST, Typical(AT, "accuracy", "mean", "points"), below(3)),
    Claim("forecast: rounds", "Forecasts of rounds to 50, 60, 70 and 80 %: median error below 20 %.", OURS, FORECAST,
          Typical({}, "error", "median"), below(20)),
    Claim("forecast: ranks", "Forecasts rank the settings: Spearman's correlation of rounds to 60 % above 0.9.", OURS,
          FORECAST, Ranks(AT, "rounds_forecast", "rounds"), above(0.9)),
    Claim("forecast or gap", "Forecasts rank the settings better than the spectral gap of the mean mixing matrix.",
          OURS, FORECAST, Ranks(AT, "rounds_forecast", "rounds", other="slem"), above(0)),
)  # fmt: skip
