"""Measures of a model that was never run, for the tests of repairs."""

import numpy as np

from overmem.stats.measures import mean_measure


def measured(accuracy, nll=None, pass_at_k=None, ood=None, drop=None):
    """Measures of one model; each argument has a value for every problem."""
    found = {"accuracy": {"accuracy": mean_measure("accuracy", "higher", "val", np.asarray(accuracy, float))}}
    for axis, name, direction, values in (
        ("likelihood", "nll", "lower", nll),
        ("diversity", "pass_at_8", "higher", pass_at_k),
        ("ood", "accuracy", "higher", ood),
        ("robustness", "accuracy_drop", "lower", drop),
    ):
        if values is not None:
            found[axis] = {name: mean_measure(name, direction, "val", np.asarray(values, float))}
    return found
