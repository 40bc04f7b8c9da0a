"""How many threads linear algebra has while curves are fitted."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from overmem.rule import Rule
from overmem.stats import stage_draws
from overmem.stats.moments import measure_curves
from overmem.stats.threads import one_blas_thread


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
