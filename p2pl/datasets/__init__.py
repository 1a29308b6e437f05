"""What is learned: one function per data set, found by its decorator.

    # p2pl/datasets/two_moons.py
    @dataset
    def two_moons(rng: np.random.Generator, samples: Count = 1000) -> Dataset:
        '''Two interleaved half circles, drawn anew.'''
        ...
        return Dataset(name="two_moons", source="drawn", checksum=checksum(x, y), x_train=x, ...)

That file alone makes `dataset: {name: two_moons, samples: 400}` a valid line of a spec.

The program supplies those of these that the signature names:

    root   the folder (pathlib.Path) with the user's data files: $P2PL_DATA, by default `resources/data`.
    rng    a random stream for what is drawn.

It returns a `p2pl.data.Dataset`; `p2pl.data.image_dataset` makes one from arrays of pixels. A data set that is read
from `root` says so by `@dataset(files="a glob pattern under root")`, verifies what it reads, and raises SpecError
naming the file if it is damaged, or exactly what to put where if it is missing. It never downloads over a file that is
there.
"""
