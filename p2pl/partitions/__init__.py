"""Which samples each device has: one function per rule, found by its decorator.

    # p2pl/partitions/in_order.py
    @partition
    def in_order(labels: Integers, sizes: Integers, rng: np.random.Generator) -> list[Integers]:
        '''Consecutive samples.'''
        return blocks(np.arange(len(labels)), sizes)

That file alone makes `partition: in_order` a valid line of a spec.

The program supplies `labels` (N,), the integer labels of the training samples, `sizes` (K,), how many samples each
device should have (they add up to N, each at least 1), and `rng`, the stream of the partition. It returns one sorted
int64 array of indices a device: every sample is on exactly one device, and no device has none. The sizes are met
exactly, unless the decorator says `@partition(meets_sizes=False)` and the docstring how nearly. What cannot be is a
SpecError that says what would do.
"""
