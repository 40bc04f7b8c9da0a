"""Points of a monitor whose true NLL is known."""

import numpy as np

from overmem.verdict.live import Point, Rule

RULE = Rule()


def points_of(nll, n=64, noise=0.02, accuracy=None, seed=0):
    """Points whose true NLL a token is given, on problems of 20 tokens that differ among themselves."""
    rng = np.random.default_rng(seed)
    level_N = 20 * rng.lognormal(-(0.3**2) / 2, 0.3, n)
    made = []
    for place, value in enumerate(nll):
        row_N = value * level_N * rng.lognormal(-(noise**2) / 2, noise, n)
        right = () if accuracy is None else tuple(map(float, np.arange(n) < accuracy[place] * n))
        epoch = place + 1.0
        made.append(Point(step=100 * (place + 1), epoch=epoch, nll_nats_N=tuple(row_N), correct_K=right))
    return made, [20] * n
