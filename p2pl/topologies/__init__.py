"""Who hears whom: one function per graph, found by its decorator.

    # p2pl/topologies/wheel.py
    import networkx as nx

    from p2pl.registry import Natural, SpecError, topology

    @topology
    def wheel(devices: int, hub: Natural = 0) -> nx.Graph:
        '''A hub joined to every device of a cycle.'''
        if hub >= devices:
            raise SpecError(f"a wheel of {devices} devices has no device {hub}; its hub is one of 0..{devices - 1}")
        graph = nx.cycle_graph(devices)
        graph.add_edges_from((hub, k) for k in range(devices) if k != hub)
        return graph

That file alone makes `topology: {name: wheel, hub: 2}` a valid line of a spec.

The program supplies `devices`, and those of these that the signature names:

    rng    the random stream of the graph. A draw that leaves devices apart is thrown away and drawn again
           by `p2pl.network`: a function only draws once.
    step   the number of the mixing step. A function with this parameter is called at every step, with a stream of
           that step: the graph is drawn anew each time.

It returns an `nx.Graph`, or an `nx.DiGraph` in which an edge (u, v) says that v hears u, or a list of either: one
period of a graph that varies in time and repeats. Nodes are 0..devices-1, there are no self-loops (a device always has
itself), a static graph is (strongly) connected, and so is the union of a period. An edge may carry `weight`, what the
hearer gives to what it hears: the mixing rule `prescribed` uses it, the others look at the edges only. A node may carry
`pos`, a point of the plane, for the drawing. A size or an option that cannot be is a SpecError that says what would do.
"""
