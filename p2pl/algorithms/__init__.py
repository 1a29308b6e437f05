"""Algorithms, one file each. The contract, with its reasons, is in `p2pl.algorithm`."""
