"""What weight each device gives to what it hears: one function per rule, found by its decorator.

    # p2pl/mixing/half.py
    import networkx as nx
    import numpy as np
    from scipy.sparse import csr_array, diags_array

    from p2pl.mixing._matrices import hearing, row_sums, with_self_weights
    from p2pl.registry import mixing

    @mixing(stochastic="row")
    def half(graph: nx.Graph) -> csr_array:
        '''Half the weight to oneself, half to the mean of the neighbours.'''
        heard = hearing(graph)
        shares = np.divide(0.5, row_sums(heard), where=row_sums(heard) > 0, out=np.zeros(len(graph)))
        return with_self_weights(diags_array(shares) @ heard)

That file alone makes `mixing: half` a valid line of a spec.

The program supplies `graph` (nodes 0..K-1; in an nx.DiGraph an edge (u, v) says that v hears u) and `sizes`, the (K,)
numbers of samples of the devices, if the signature names them. The rule returns W, a (K, K) float64 csr_array: W[k, j]
is the weight that device k gives to what it hears from j, supported on the edges and the diagonal.

`stochastic` says what sums to 1, and with it what a failed link does to the weights:

    row      every row; the weights of those who were heard are scaled up to 1
    doubly   every row and column; a lost weight returns to the device itself
    column   every column (push-sum); what was not sent stays with the sender

A time-varying graph is weighted step by step: a rule may then meet a graph in which a device hears nobody.
A graph that a rule is not made for is a SpecError that names both.
"""
