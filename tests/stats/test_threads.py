"""How many threads statistics take, and results of parts that run beside each other."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from overmem.rule import Rule
from overmem.stats import stage_draws
from overmem.stats.moments import measure_curves
from overmem.stats.threads import beside_each_other, one_blas_thread


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_one_thread_inside_and_as_many_as_before_afterwards() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            assert blas_threads() == {1}
            raise ZeroDivisionError
        assert blas_threads() == {2}


def test_curves_are_fitted_with_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    fit = stage_draws.fit_prior
    monkeypatch.setattr(stage_draws, "fit_prior", lambda *a: (seen.append(blas_threads()), fit(*a))[1])
    rng = np.random.default_rng(0)
    curves = measure_curves(rng.random((4, 60)), rng.random((4, 60)), np.ones(60))
    with threadpool_limits(limits=2, user_api="blas"):
        stage_draws.draw_stages(curves, np.arange(1, 5), Rule(resamples=100))
    assert seen and set.union(*seen) == {1}


def test_parts_beside_each_other_give_their_results_in_order_and_the_first_error():
    first_ends_last = [threading.Event(), threading.Event()]

    def wait_for_the_other(place: int) -> int:
        if place == 0:
            assert first_ends_last[1].wait(timeout=30), "the parts ran one after the other"
        first_ends_last[place].set()
        return place

    assert beside_each_other(wait_for_the_other, (0, 1)) == [0, 1]
    with pytest.raises(ZeroDivisionError):
        beside_each_other(lambda part: 1 / part, (1, 0))
