"""What configurations say together, by hand."""

import math

import numpy as np
import pytest

from overmem.rule import Rule
from overmem.stats.moments import measure_curves
from overmem.sweeping.narrative import edges_text
from overmem.sweeping.summary import make_family, points_table, pool_points
from tests.helpers.sweeps import RATE, configuration, learning_rates

# What configurations say together.


def test_errors_of_points_are_those_of_the_problems_and_of_the_seeds():
    rng = np.random.default_rng(0)
    one, two = (
        configuration({RATE: rate}, rng.uniform(0.3, 0.8, (s, 2)), rng.uniform(0.2, 0.5, (s, 2)), n=60)
        for rate, s in ((1, 1), (2, 3))
    )
    found = pool_points([one, two])
    rows = [item.seeds.correct_S_C_N.mean(axis=0) for item in (one, two)]
    by_hand = np.cov(np.concatenate(rows)) / 60
    between = np.cov(two.seeds.correct_S_C_N.mean(axis=2).T) / 3
    by_hand[2:, 2:] += between
    assert np.allclose(found.sample_cov_B_B[:4, :4], by_hand, atol=1e-12)
    # With one configuration of one seed it is what a verdict rests on.
    core = one.seeds
    alone = measure_curves(core.correct_S_C_N[0], core.nll_nats_S_C_N[0], core.n_tokens_N)
    assert np.allclose(pool_points([one]).sample_cov_B_B, alone.sample_cov_B_B, atol=1e-15)


def test_a_recommendation_by_hand_at_the_edge_of_the_grid():
    slow = configuration({RATE: 1e-4}, [0.50, 0.70, 0.80], [0.30, 0.28, 0.27])
    fast = configuration({RATE: 1e-3}, [0.70, 0.90, 0.90], [0.26, 0.45, 0.60])
    family = make_family([slow, fast], Rule())
    # Allowed: NLL up to 0.26 + ln 1.1 = 0.355, so all but the last two. The most accurate of these: 0.80.
    # Its lead of 0.10 over the next is beyond one standard error, sqrt(0.1 * 0.9 / 199) = 0.021.
    assert family.recommended.label == "learning_rate=0.0001, epoch 3"
    assert family.alternatives == {
        "lowest_perplexity": "learning_rate=0.001, epoch 1",
        "highest_accuracy": "learning_rate=0.001, epoch 2",
    }
    assert "accuracy -10.0 points" in family.alternative_costs["lowest_perplexity"]
    point = family.point("learning_rate=0.001, epoch 3")
    assert point.perplexity_ratio == pytest.approx(math.exp(0.60 - 0.26))
    edges = {(edge.key, edge.upward): (edge.steps, edge.stage) for edge in family.recommended.edges}
    assert edges[RATE, False] == (0, None) and edges["epoch", True] == (0, None)
    assert edges["epoch", False] == (1, "learning") and edges[RATE, True] == (1, "over-memorized")
    said = edges_text(family.recommended.edges)
    assert "down in learning rate the grid ends here" in said
    assert "1 step up in learning rate is over-memorized" in said


def test_where_hardly_any_accuracy_is_lost_the_lowest_nll_wins():
    one = configuration({RATE: 1e-4}, [0.50, 0.800, 0.8025], [0.30, 0.25, 0.26], n=400)
    assert make_family([one], Rule()).recommended.label == "learning_rate=0.0001, epoch 2"
    tight = Rule(accuracy_margin=0.001)
    assert make_family([one], tight).recommended.label == "learning_rate=0.0001, epoch 3"


def test_a_far_more_accurate_configuration_is_taken_though_another_has_a_lower_perplexity():
    """A sweep recommended 56.7% where it had found 86.7%, for a perplexity above 1.1 times the lowest."""
    accurate = configuration({RATE: 1e-3}, [0.5, 0.867], [0.60, 0.55])
    calm = configuration({RATE: 1e-4}, [0.3, 0.567], [0.35, 0.30])
    assert make_family([accurate, calm], Rule()).recommended.label == "learning_rate=0.001, epoch 2"


def test_a_configuration_that_diverged_does_not_stop_the_others_being_compared():
    calm = configuration({RATE: 1e-4}, [0.5, 0.8], [0.3, 0.25])
    wild = configuration({RATE: 1.0}, [0.0, 0.0], [900.0, 950.0])
    family = make_family([calm, wild], Rule())
    assert family.recommended.label == "learning_rate=0.0001, epoch 2"
    assert family.point("learning_rate=1.0, epoch 2").perplexity_ratio == math.inf


def test_too_few_problems_recommend_nothing():
    few = configuration({RATE: 1e-4}, [0.5, 0.8], [0.3, 0.2], n=20)
    family = make_family([few], Rule())
    assert family.recommended is None and "at least 30" in family.reason and len(family.points) == 2


def test_the_table_has_a_row_a_point():
    table = points_table([make_family(learning_rates(), Rule())])
    assert len(table.rows) == 18 and len({row[1] for row in table.rows}) == 3
    first = dict(zip(table.columns, table.rows[0], strict=True))
    assert first[RATE] == 1e-4 and first["epoch"] == 1.0 and first["accuracy"] == pytest.approx(0.295)
