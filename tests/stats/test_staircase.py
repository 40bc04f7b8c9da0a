import math
import random
import time

import numpy as np
import pytest

from overmem.stats import staircase
from overmem.stats.staircase import fit_staircase


def log_of(
    steps, *, trend=lambda t: 0.4 * math.exp(-6 * t), forgotten=0.0, n=40, noise=0.0, seed=0, last=1.0
):
    """Rows of a run with the steps at its epoch boundaries, from a loss of 1.5."""
    rng, rows, level = random.Random(seed), [], 1.5
    for epoch in range(len(steps) + 1):
        for i in range(n):
            part = (i + 0.5) / n
            if epoch == len(steps) and part > last:
                break
            loss = level + trend(epoch + part) + (forgotten * part if epoch else 0.0)
            rows.append((epoch + part, loss * (1 + rng.gauss(0, noise)), 1e-4))
        if epoch < len(steps):
            level -= steps[epoch]
    return rows


def test_steps_of_a_flat_staircase_are_found_to_the_bit():
    found = fit_staircase(log_of((0.3, 0.2, 0.1), trend=lambda t: 0.0), 4.0)
    assert found.steps == pytest.approx((0.3, 0.2, 0.1), abs=1e-9)
    assert (found.unseen_then, found.unseen_now, found.level) == pytest.approx((1.5, 1.5, 0.9), abs=1e-9)
    assert found.means == pytest.approx((1.5, 1.2, 1.0, 0.9))
    assert found.se == pytest.approx(0, abs=1e-6)


def test_a_trend_that_goes_on_is_no_step():
    found = fit_staircase(log_of((0.0, 0.0), trend=lambda t: 0.5 / (t + 0.3)), 3.0)
    assert found.steps == pytest.approx((0, 0), abs=0.005)
    assert found.unseen_now == pytest.approx(1.5 + 0.5 / 3.3, abs=0.01)
    assert found.next_fall == pytest.approx(0.5 / 3.3 - 0.5 / 4.3, abs=0.01)


def test_steps_stand_beside_a_trend_and_a_warm_up():
    found = fit_staircase(log_of((0.3, 0.25)), 3.0)
    assert found.steps == pytest.approx((0.3, 0.25), abs=0.02)
    assert found.unseen_now - found.level == pytest.approx(0.55, abs=0.03)


def test_what_is_forgotten_within_epochs_is_not_taken_for_a_trend_of_unseen_text():
    found = fit_staircase(log_of((0.3, 0.3), trend=lambda t: 0.0, forgotten=0.06, noise=0.001), 3.0)
    assert found.unseen_now == pytest.approx(1.5, abs=0.03)
    assert found.level == pytest.approx(0.96, abs=0.01)
    assert found.steps[1] == pytest.approx(0.36, abs=0.02)  # with what was forgotten before it


def test_an_unfinished_epoch_is_part_of_it():
    found = fit_staircase(log_of((0.3, 0.2), trend=lambda t: 0.0, last=0.5), 2.5)
    assert found.last_share == pytest.approx(0.5)
    assert found.level == pytest.approx(1.0, abs=1e-6)


def test_one_fit_is_least_squares_with_a_level_for_each_epoch():
    rows = log_of((0.4, 0.2), forgotten=0.05, n=12, noise=0.03)
    points = [[(t, y) for t, y, _ in rows if int(t) == epoch] for epoch in range(3)]
    curve = staircase._curve(1.0, 0.3)
    fit = staircase._fit(points, curve, 3.0)
    flat = [(e, t, y) for e, epoch in enumerate(points) for t, y in epoch]
    means = [np.mean([y for _, y in epoch]) for epoch in points]
    weight = np.array([1 / means[e] for e, _, _ in flat])
    levels = np.array([[e == k for k in range(3)] for e, _, _ in flat], float)
    trend = np.array([curve(t) for _, t, _ in flat])
    ages = np.array([means[e] * (t - e) if e else 0.0 for e, t, _ in flat])
    losses = np.array([y for _, _, y in flat])

    def solve(*columns, extra=None):
        design = np.column_stack([levels, *columns]) * weight[:, None]
        target = losses * weight
        if extra is not None:
            design, target = np.vstack([design, extra]), np.append(target, 0.0)
        solution, *_ = np.linalg.lstsq(design, target, rcond=None)
        return solution, ((target - design @ solution) ** 2).sum()

    _, squares = solve(trend)
    noise = squares / (len(flat) - 4)
    prior = np.array([[0, 0, 0, 0, math.sqrt(noise) / staircase._FORGETTING]])
    (first, _, third, slope, forgotten), left = solve(trend, ages, extra=prior)
    expected = [first + slope * curve(1.0), first + slope * curve(3.0)]
    expected.append(third + slope * curve(3.0) + forgotten * means[2])
    assert fit.values[:3] == pytest.approx(expected)
    assert fit.squares == pytest.approx(left)


def test_the_standard_error_is_that_of_repeated_logs():
    fits = [fit_staircase(log_of((0.3, 0.2), n=24, noise=0.05, seed=i), 3.0) for i in range(60)]
    errors = [(fit.unseen_now - fit.level - 0.5) / fit.se for fit in fits]
    assert sum(abs(error) < 1.645 for error in errors) / len(errors) >= 0.75
    assert 0.4 < math.sqrt(sum(error**2 for error in errors) / len(errors)) < 1.4


@pytest.mark.parametrize(
    ("rows", "end"),
    [
        (log_of((), n=40), 1.0),  # one epoch
        (log_of((0.3,), n=2), 2.0),  # too few rows
        ([], 3.0),
        (log_of((0.3,), n=40), 3.0),  # nothing logged of the third
    ],
)
def test_what_cannot_be_fitted(rows, end):
    assert fit_staircase(rows, end) is None


def test_a_long_log_of_many_epochs_takes_no_time():
    before = time.process_time()
    assert fit_staircase(log_of((0.001,) * 999, n=200), 1000.0).steps[0] == pytest.approx(0.001, abs=0.01)
    assert time.process_time() - before < 5
