"""Results whose truth is known."""

import math

import pandas as pd


def runs(levels, rounds=10, rate=0.4, **columns):
    """Rows of one arm: accuracy of seed s rises to levels[s] and is 5 points lower after learning."""
    rows = []
    for seed, level in enumerate(levels):
        for number in range(rounds + 1):
            value = level * (1 - math.exp(-rate * number))
            phases = {"learn": value - 0.05, "cooperate": value} if number else {"start": value}
            rows += [{"seed": seed, "round": number, "phase": p, "accuracy_mean": v} for p, v in phases.items()]
    return pd.DataFrame(rows).assign(**columns)
