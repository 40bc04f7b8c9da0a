"""Chances of being settled, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from overmem.rule import Rule
from overmem.stats.curves import settling
from overmem.stats.curves.posterior import fit_prior
from overmem.stats.curves.settling import _reached, problems_to_settle
from overmem.stats.moments import measure_curves
from tests.helpers.curves import make_rows

STEPS = np.array([1, 2, 3])


def fitted_rows(**rows):
    found = measure_curves(*make_rows(checkpoints=3, **rows))
    return fit_prior(found, STEPS), found


def test_more_problems_settle_more_and_what_is_not_asked_is_left_out():
    fitted, found = fitted_rows(
        n=100, accuracy=np.array([0.5, 0.7, 0.6]), nll=np.array([0.4, 0.34, 0.34]), seed=3
    )
    first, _, last = problems_to_settle(fitted, found, STEPS, np.array([False, True, True]), Rule(), least=30)
    assert first is None and last is not None
    assert last.even is not None and last.likely is not None
    assert 100 < last.even <= last.likely and last.chance_at_most >= 0.8


def test_many_checkpoints_are_asked_about_with_fewer_futures(monkeypatch):
    """The coarser search still finds numbers near those of the finer one."""
    fitted, found = fitted_rows(
        n=100, accuracy=np.array([0.5, 0.7, 0.6]), nll=np.array([0.4, 0.34, 0.34]), seed=3
    )
    asked = np.array([False, False, True])
    fine = problems_to_settle(fitted, found, STEPS, asked, Rule(), least=30)[2]
    tried = []
    plain = settling.probabilities_of

    def counted(curves, *others):
        tried.append(len(curves.accuracy_D_C))
        return plain(curves, *others)

    monkeypatch.setattr(settling, "probabilities_of", counted)
    monkeypatch.setattr(settling, "_MOST_POINTS", 180)
    coarse = problems_to_settle(fitted, found, STEPS, asked, Rule(), least=30)[2]
    assert len(tried) % 60 == 0 and 0 < len(tried) <= 60 * 5 and set(tried) == {settling._DRAWS // 3}
    assert 0.5 < coarse.even / fine.even < 2 and 0.5 < coarse.likely / fine.likely < 2


@pytest.mark.parametrize(
    ("chances", "wanted", "expected"),
    [([0.1, 0.3, 0.7], 0.5, 150), ([0.6, 0.7, 0.7], 0.5, 50), ([0.1, 0.2, 0.3], 0.5, None)],
)
def test_the_number_lies_between_those_that_were_tried(chances, wanted, expected):
    """By hand: halfway in the logarithm between 100 and 200 is 141.4, to two digits upwards 150."""
    assert _reached([50, 100, 200], np.array(chances), wanted) == expected
