"""A small run, and the command line in this process, for the tests that use them."""

from p2pl.cli import main

SPEC = {
    "dataset": "digits",
    "devices": 4,
    "samples": 200,
    "model": {"name": "mlp", "hidden": [16]},
    "training": {"lr": 0.1},
    "evaluation": {"target": 0.5},
    "rounds": 6,
}


def p2pl(*arguments, capsys):
    """(exit code, stdout, stderr) of the command in this process."""
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err
