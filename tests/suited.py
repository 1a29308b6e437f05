"""A spec that a registered algorithm can run on, whatever it needs."""

from itertools import product

from p2pl import Experiment
from p2pl.algorithm import check_needs
from p2pl.network import Network
from p2pl.registry import SpecError


def suited(settings):
    """`settings` if the algorithm's needs allow them, or with a graph, weights, a momentum and a length that do."""
    training = settings.get("training", {})
    graphs = [settings.get("topology", "ring"), "star"]
    rules = [settings.get("mixing", "metropolis"), "lazy_metropolis", "push_sum"]
    momenta, lengths = [training.get("momentum", 0.5), 0.0], [settings.get("rounds", 30), 8]
    for rounds, momentum, graph, rule in product(lengths, momenta, graphs, rules):
        changed = {"topology": graph, "mixing": rule, "training": training | {"momentum": momentum}, "rounds": rounds}
        experiment = Experiment(**settings | changed)
        try:
            check_needs(experiment, Network(experiment.topology, experiment.devices, experiment.seed))
        except SpecError:
            continue
        return settings | changed
    raise AssertionError(f"no graph, weights, momentum and length tried here suit {settings['algorithm']}")
