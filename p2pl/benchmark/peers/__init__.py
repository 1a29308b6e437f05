"""The peers that every installation has: our engines, and the two ways in which torch alone does the job.

A file here has PEERS, a dictionary of names and of what makes a `p2pl.benchmark.discovery.Peer` of a `Material`.
"""
