"""Past one machine: the profile for Slurm, submitting to a shell instead, gives the bytes of a local run."""

from pathlib import Path

import yaml
from pipeline import REPOSITORY, checkout, files, script, snakemake

PROFILE = "config/profiles/slurm"
COMMAND = "submit {rule} {threads} {resources.mem_mb} {resources.runtime}"
# A cluster of one node: it notes what it is given, runs the script in the background, and says the job's number.
SUBMIT = """
echo "$1 $2 $3 $4" >> submitted
sh "$5" > "submitted.$$" 2>&1 &
echo $!
"""


def test_the_nodes_of_a_cluster_give_the_bytes_of_one_machine(finished: Path, tmp_path: Path) -> None:
    root = tmp_path / "cluster"
    checkout(root)
    script(root / "bin" / "submit", SUBMIT)
    shell = ("--executor", "cluster-generic", "--cluster-generic-submit-cmd", COMMAND)
    snakemake(root, "--profile", PROFILE, *shell, "--seconds-between-status-checks", "1")
    assert files(root) == files(finished)
    # the jobs of all other rules stay where `snakemake` runs
    assert (root / "submitted").read_text().splitlines() == ["simulate 1 4000 1440", "simulate 1 4000 1440"]


def test_the_profile_submits_to_slurm() -> None:
    assert yaml.safe_load((REPOSITORY / PROFILE / "config.yaml").read_text())["executor"] == "slurm"
