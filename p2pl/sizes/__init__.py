"""How many samples each device has: one function per rule, found by its decorator.

    # p2pl/sizes/halving.py
    from p2pl.registry import sizes

    @sizes
    def halving(samples: int, devices: int) -> Integers:
        '''Each device has half as many samples as the one before it.'''
        return nonempty(apportion(0.5 ** np.arange(devices), samples), "halving")

That file alone makes `sizes: halving` a valid line of a spec.

The program supplies `samples` (how many there are), `devices`, and `rng` (the stream of the partition) if the signature
names it. It returns int64 (devices,) that add up to `samples`, each at least 1; where that cannot be, it raises
SpecError with what would do (`_nonempty.nonempty` does so). Which samples they are is the partition's affair; all
partitions but `classes` meet these numbers exactly.
"""
