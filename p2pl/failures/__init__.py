"""Failure models: what becomes of the messages of each mixing step. One generator function a model.

    @failure
    def links(links, rng, rate: Probability = 0.1) -> Iterator[Fate]:
        while True:
            yield Fate(heard=rng.random(len(links)) >= rate)

`links` is the (E, 2) array of (receiver, sender); `rng` a stream of its own, shared by all runs with the same seed;
`devices`, and `moment` (the `round` that is on, 0 during the initialization, and the `packets` of a message), are given
where the signature asks for them. A generator keeps its own history; `Fate` is in `p2pl.transmission`. Several models
in one spec act together.
"""
