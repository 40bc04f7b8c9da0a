"""Which checkpoint is shipped: stages come first, then accuracy, then NLL where it costs hardly anything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from overmem.rule import Rule
from overmem.stats.curves.posterior import Curves
from overmem.stats.moments import measure_curves
from overmem.stats.selection import BEST_FIRST, choose, choose_checkpoint, eligible_mask
from overmem.stats.stage_rule import (
    FIT,
    LEARNING,
    OVER_MEMORIZED,
    OVERFIT,
    UNSTABLE,
    stage_codes,
    stage_probabilities,
)

RULE = Rule()


def certain(*codes):
    """Stages known for sure."""
    return np.eye(5)[list(codes)]


def exact(accuracy, perplexity):
    """Curves without error, as two equal draws."""
    return Curves(accuracy_D_C=np.array([accuracy] * 2), nll_D_C=np.log([perplexity] * 2))


def test_what_memorizes_is_not_shipped_however_accurate():
    curves = exact([0.70, 0.80, 0.90, 0.95], [1.5, 1.3, 1.6, 1.9])
    shares = certain(LEARNING, FIT, OVER_MEMORIZED, OVERFIT)
    assert choose(curves, shares, RULE).pick == 1


def test_an_early_fit_checkpoint_is_eligible_however_high_its_perplexity_still_is():
    """The run of the issue: NLL still falls while accuracy does, and the last checkpoint was shipped."""
    curves = exact([0.86, 0.66, 0.60], np.exp([1.70, 1.38, 1.29]))
    codes = stage_codes(curves.accuracy_D_C, curves.nll_D_C, np.array([1, 2, 3]), RULE)
    assert codes[0].tolist() == [FIT, UNSTABLE, UNSTABLE]
    assert choose(curves, stage_probabilities(codes), RULE).pick == 0


def test_lowest_nll_decides_only_where_three_tenths_of_a_point_at_most_is_lost():
    shares = certain(FIT, FIT, FIT)
    assert choose(exact([0.7985, 0.800, 0.796], [1.30, 1.40, 1.20]), shares, RULE).pick == 0
    found = choose(exact([0.7985, 0.800, 0.7985], [1.30, 1.40, 1.29]), shares, RULE)
    assert (found.pick, found.best) == (2, 1)
    assert found.expected_loss == pytest.approx(0.0015)
    assert choose(exact([0.799, 0.800, 0.790], [1.30, 1.40, 1.20]), shares, Rule(accuracy_margin=0)).pick == 1


def test_a_chance_of_being_inflated_is_paid_for_in_accuracy():
    """By hand: at a margin of 3 points a chance of 0.4 costs 0.8 points, one of 0.1 costs 0.2."""
    shares = np.array([[0.0, 0.9, 0.1, 0.0, 0.0], [0.0, 0.6, 0.25, 0.15, 0.0]])
    for gained, pick in ((0.005, 0), (0.012, 1)):
        found = choose(exact([0.800, 0.800 + gained], [1.4, 1.5]), shares, RULE)
        assert found.best == found.pick == pick
    assert found.inflated_C == pytest.approx([0.1, 0.4])


def test_a_lower_nll_never_buys_a_worse_stage():
    curves = exact([0.800, 0.799], [1.4, 1.2])
    unclear = np.array([[0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.3, 0.0, 0.0, 0.7]])
    assert choose(curves, unclear, RULE).pick == 0
    assert choose(curves, certain(FIT, FIT), RULE).pick == 1


@pytest.mark.parametrize(
    ("shares", "eligible"),
    [
        ([0.0, 0.5, 0.1, 0.4, 0.0], True),
        ([0.0, 0.4, 0.6, 0.0, 0.0], False),
        ([0.0, 0.3, 0.3, 0.4, 0.0], False),
        ([0.0, 0.2, 0.0, 0.0, 0.8], False),
        ([0.0, 0.21, 0.0, 0.0, 0.79], True),
    ],
)
def test_eligible_is_what_is_not_inflated_and_not_clearly_unstable(shares, eligible):
    assert eligible_mask(np.array([shares]), RULE).tolist() == [eligible]


CURVES = st.integers(2, 8).flatmap(
    lambda c: st.tuples(
        hnp.arrays(float, (4, c), elements=st.floats(0, 1)),
        hnp.arrays(float, (4, c), elements=st.floats(0.01, 3)),
    )
)


@given(CURVES)
def test_nothing_more_accurate_has_a_better_stage(drawn):
    accuracy, nll = drawn
    curves = Curves(accuracy_D_C=accuracy, nll_D_C=nll)
    steps = np.arange(1, accuracy.shape[1] + 1)
    shares = stage_probabilities(stage_codes(accuracy, nll, steps, RULE))
    found = choose(curves, shares, RULE)
    rank = np.array([BEST_FIRST.index(code) for code in shares.argmax(axis=1)])
    better = (rank < rank[found.pick]) & (found.accuracy_C > found.accuracy_C[found.pick])
    assert not better.any()
    assert found.eligible_C[found.pick]


def test_one_lucky_checkpoint_among_many_alike_is_not_taken_for_the_best():
    """Accuracy rises to a plateau; one checkpoint on the way up was lucky by 6 points on 60 problems."""
    rng = np.random.default_rng(5)
    true = np.array([0.40, 0.50, 0.60, 0.68, 0.74, 0.78, 0.80, 0.80])
    correct = (rng.random(60)[None, :] < true[:, None]).astype(float)
    lucky = 3
    correct[lucky] = 0.0
    correct[lucky, rng.permutation(60)[: int(correct[-1].sum()) + 1]] = 1.0
    nll = np.exp(-np.arange(8) / 8)[:, None] * np.ones((8, 60)) * 10
    moments = measure_curves(correct, nll, np.full(60, 10.0))
    found = choose_checkpoint(moments, 100 * np.arange(1, 9), RULE)
    assert int(moments.accuracy_C.argmax()) == lucky
    assert found.pick != lucky
