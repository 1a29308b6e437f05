"""Claims about compressed push over directed graphs: Sparse-Push, its compensation, and the field beside it."""

from __future__ import annotations

from p2pl.effects import Difference, Recovered
from p2pl.verdicts import Claim, above, below

ABSTRACT, OURS = "arXiv 2102.05715 [A], limit ours", "[C]"

PUSH = (
    Claim("compressed: IID", "A 25th of the values sent costs less than a point on a non-regular digraph, IID.",
          ABSTRACT, "push", Difference({"arm": "25x"}, {"arm": "dense"}), above(-1)),
    Claim("compressed: 400x", "400 times fewer bytes cost less than a point in a run of the paper's length, IID.",
          ABSTRACT, "long_run", Difference({"arm": "0.1 %"}, {"arm": "dense"}), above(-1)),
    Claim("compressed: CIFAR-10", "The same with ResNet-20 or VGG-11 on CIFAR-10.", "arXiv 2102.05715 [A]", "long_run",
          Difference({"arm": "0.1 %"}, {"arm": "dense"}), above(-1), "cifar10"),
    *(Claim(f"compressed: IID, {told}", f"A 25th of the values costs less than a point, IID: {told}.", ABSTRACT,
            "digraphs", Difference({"arm": "25x, copies", "topology": graph, "partition": "iid"},
                                   {"arm": "dense", "topology": graph, "partition": "iid"}), above(-1))
      for graph, told in (("directed_ring", "directed ring"), ("hypercube", "torus of 2 x 4"),
                          ("one_peer_exponential", "time-varying graph"))),
    Claim("compressed: IID, permutations",
          "A 25th of the values costs less than a point, IID: random permutations, error feedback.", ABSTRACT,
          "permutations",
          Difference({"arm": "25x, feedback", "partition": "iid"}, {"arm": "dense", "partition": "iid"}), above(-1)),
    Claim("compressed: skewed", "With skewed data a 25th of the values costs more than five points.",
          ABSTRACT, "push", Difference({"arm": "25x, skewed"}, {"arm": "dense, skewed"}), below(-5)),
    Claim("skew alone", "Skew costs uncompressed push-sum more than a point.", OURS, "push",
          Difference({"arm": "dense, skewed"}, {"arm": "dense"}), below(-1)),
    Claim("merged: recovers", "Last rounds that merge bring back most of what compression took from skewed devices.",
          ABSTRACT, "push", Recovered({"arm": "25x, skewed, merged"}, {"arm": "25x, skewed"}, {"arm": "dense, skewed"}),
          above(50)),
    Claim("merged: recovers, 400x",
          "The same at 400 times fewer bytes in a run of the paper's length, of what skew took.", ABSTRACT, "long_run",
          Recovered({"arm": "0.1 %, skewed, merged"}, {"arm": "0.1 %, skewed"}, {"arm": "0.1 %"}), above(50)),
    *(Claim(f"bytes: {better} before {other}, {bits} bits, {told}",
            f"At as many bytes, {bits} bits a value, {better} does better than {other}: {told}.", OURS, "compressors",
            Difference({"arm": f"{better}, {bits} bits", "partition": partition},
                       {"arm": f"{other}, {bits} bits", "partition": partition}), above(0))
      for partition, told in (("iid", "IID"), ("skew(fraction=1)", "skewed"))
      for better, other in (("top-k", "random-k"), ("low precision", "top-k"), ("low precision", "QSGD"))
      for bits in (4, 2)),
    Claim("bytes: sign", "At as many bytes, one bit a value, the sign does better than top-k: skewed.", OURS,
          "compressors", Difference({"arm": "sign, 1 bit", "partition": "skew(fraction=1)"},
                                    {"arm": "top-k, 1 bit", "partition": "skew(fraction=1)"}), above(0)),
    Claim("bytes: an eighth for nothing",
          "Four bits of each of all values, an eighth of the bytes, cost less than a point: skewed.", OURS,
          "compressors", Difference({"arm": "low precision, 4 bits", "partition": "skew(fraction=1)"},
                                    {"arm": "dense, 32 bits", "partition": "skew(fraction=1)"}), above(-1)),
    *(Claim(f"merged: {way}, {100 * keep:g} %",
            f"Twenty last rounds that merge, {way}, help the mean device by two points: directed ring, {100 * keep:g} %"
            " of the values.", OURS, "merging",
            Difference({"compression.keep": keep, "algorithm.final_rounds": 20, "algorithm.final": way},
                       {"compression.keep": keep, "algorithm.final_rounds": 0, "algorithm.final": way}), above(2))
      for keep in (0.04, 0.0025) for way in ("dense", "compressed")),
    Claim("merged: no better average", "Merging makes the *average* model better by a point: directed ring, 0.25 %.",
          OURS, "merging",
          Difference({"compression.keep": 0.0025, "algorithm.final_rounds": 20, "algorithm.final": "dense"},
                     {"compression.keep": 0.0025, "algorithm.final_rounds": 0, "algorithm.final": "dense"},
                     "accuracy_of_average"), above(1)),
    Claim("feedback", "With public copies devices end more accurate than with error feedback: directed ring, IID.",
          OURS, "digraphs", Difference({"arm": "25x, copies", "topology": "directed_ring", "partition": "iid"},
                                 {"arm": "25x, feedback", "topology": "directed_ring", "partition": "iid"}), above(0)),
)  # fmt: skip

EVERYWHERE = (
    ("gradient tracking", "DSGD"), ("NGC", "DSGD"), ("Gossip-PGA", "DSGD"),
    ("quasi-global momentum", "DSGD with momentum"), ("momentum tracking", "DSGD with momentum"),
)  # fmt: skip
UNDIRECTED = (("D2", "DSGD"), ("exact diffusion", "DSGD"), ("GUT", "DSGD"))

FIELD = tuple(
    Claim(f"{arm} beats {other}: {graph}",
          f"{arm} does better than {other} where data differ: {graph}, Dirichlet 0.1.", OURS, f"algorithms_{graph}",
          Difference({"arm": arm, "partition.alpha": 0.1}, {"arm": other, "partition.alpha": 0.1}), above(0))
    for graph, pairs in (
        ("tree", (*UNDIRECTED, ("RelaySGD", "DSGD"), *EVERYWHERE)),
        ("ring", (*UNDIRECTED, *EVERYWHERE)),
        ("exponential", EVERYWHERE),
    )
    for arm, other in pairs
)  # fmt: skip
