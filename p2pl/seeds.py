"""One root seed, many independent named streams.

    stream(seed, "batches", device, round)

Each name has its own stream, so that two runs with one seed share their data, graphs, batch orders and failures
whatever else differs between them: comparisons are paired. No stream has a position to save: a resumed run asks for
the stream of its round again.
"""

from __future__ import annotations

import zlib

import numpy as np

NAMES = (
    *("data", "partition", "graph", "init", "leader", "batches", "augment", "model", "failures", "participation"),
    "compression",
)


def stream(seed: int, name: str, *indices: int) -> np.random.Generator:
    """The generator of the stream `name` (one of NAMES) of root `seed`, further keyed by non-negative integers.

    Raises KeyError for an unknown name: a typing mistake would silently unpair runs.
    """
    key = (number_of(name), *indices)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy=seed, spawn_key=key)))


def number_of(name: str) -> int:
    """What a name is in the keys of its streams."""
    if name not in NAMES:
        raise KeyError(f"no random stream '{name}'; known: {', '.join(NAMES)}")
    return zlib.crc32(name.encode())


def words(seed: int, name: str) -> np.ndarray:
    """What SeedSequence puts before the indices of a stream: the seed, of 32 bits a word, four or more; the name."""
    count = max(4, -(-seed.bit_length() // 32))
    return np.array([*(seed >> 32 * place & 0xFFFFFFFF for place in range(count)), number_of(name)], dtype=np.uint32)
