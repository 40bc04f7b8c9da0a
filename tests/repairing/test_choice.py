"""Which candidate is chosen: the lowest NLL among the equally accurate."""

import numpy as np

from overmem.repairing.choice import choose
from tests.helpers.repairs import measured


def test_the_choice_is_the_lowest_nll_among_the_equally_accurate():
    rng = np.random.default_rng(0)
    right = (rng.random(200) < 0.8).astype(float)
    worse, nearly = right.copy(), right.copy()
    worse[np.flatnonzero(right)[:40]] = 0
    nearly[np.flatnonzero(right)[:1]] = 0
    contenders = [
        measured(right, np.full(200, 0.5)),
        measured(nearly, np.full(200, 0.4)),
        measured(worse, np.full(200, 0.1)),
    ]
    assert choose(contenders, measured(right, np.full(200, 0.9))) == 1


def test_what_is_no_gain_is_not_chosen_for_a_little_accuracy():
    right = np.ones(200)
    nearly = right.copy()
    nearly[:3] = 0
    contenders = [measured(right, np.full(200, 0.6)), measured(nearly, np.full(200, 0.4))]
    assert choose(contenders, measured(right, np.full(200, 0.5))) == 1
    assert choose(contenders, measured(right, np.full(200, 0.3))) == 0


def test_pass_at_k_breaks_the_tie_before_nll():
    right, rng = np.ones(100), np.random.default_rng(0)
    low = (rng.random(100) < 0.5).astype(float)
    contenders = [measured(right, np.full(100, 0.1), low), measured(right, np.full(100, 0.9), right)]
    assert choose(contenders, measured(right, right)) == 1
