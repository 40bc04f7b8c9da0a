"""The gate for CI: which stages fail, and at which checkpoint."""

from dataclasses import replace

import numpy as np
import pytest

from overmem.errors import RunError
from overmem.verdict.gate import check_verdict
from overmem.verdict.judge import judge


@pytest.fixture(scope="module")
def memorized():
    """Fit at step 200, over-memorized at 400; 1,000 problems, so that both are certain."""
    rng = np.random.default_rng(0)
    level_N, spread_N = rng.random(1000), rng.gamma(4, 0.25, 1000)
    correct = np.array([(level_N < a).astype(float) for a in (0.6, 0.9, 0.9, 0.9)])
    nll = np.array([n * 20 * spread_N for n in (0.5, 0.4, 0.5, 0.7)])
    return judge([100, 200, 300, 400], correct, nll, np.full(1000, 20.0), resamples=300)


def test_the_last_checkpoint_fails_on_its_stage_only(memorized):
    failed = check_verdict(memorized, ("over-memorized", "overfit"))
    assert not failed.passed and "over-memorized" in failed.reason
    assert failed.reason.endswith("; over-memorized and overfit fail")
    passed = check_verdict(memorized, ("overfit",))
    assert passed.passed and passed.reason.endswith("; passes: only overfit fails")


def test_the_recommended_one_or_any_other_can_be_asked_for(memorized):
    assert memorized.recommended.step == 200
    assert check_verdict(memorized, ("over-memorized",), "recommended").passed
    name = memorized.checkpoints[-1].name
    assert not check_verdict(memorized, ("over-memorized",), name).passed


def test_an_unstable_checkpoint_is_not_shipped_but_may_be_the_last(memorized):
    *others, last = memorized.checkpoints
    unstable = replace(
        memorized,
        checkpoints=(*others, replace(last, stage="unstable")),
        recommended=replace(memorized.recommended, name=last.name),
    )
    assert check_verdict(unstable).passed
    assert not check_verdict(unstable, checkpoint="recommended").passed
    assert check_verdict(unstable, ("overfit",), "recommended").passed


def test_undetermined_fails_only_when_it_is_listed():
    rng = np.random.default_rng(0)
    correct = (rng.random((3, 20)) < 0.5).astype(float)
    nll = rng.gamma(4, 0.25, (3, 20)) * 20
    unclear = judge([1, 2, 3], correct, nll, np.full(20, 20.0), resamples=300)
    assert unclear.checkpoints[-1].stage == "undetermined"
    assert not check_verdict(unclear, ("undetermined",)).passed
    with pytest.raises(RunError, match="no stage can be told"):  # of 20 problems none is given
        check_verdict(unclear)
    judged = replace(unclear, reason=None)  # as on enough problems that settle nothing
    assert check_verdict(judged, ("over-memorized", "overfit")).passed


def test_what_rests_on_logs_alone_never_passes_nor_fails(memorized):
    logged = replace(memorized, evidence="logged")
    for stages in (None, ("undetermined",), ("fit",)):
        with pytest.raises(RunError, match="only the log"):
            check_verdict(logged, stages)


def test_what_does_not_exist_is_refused(memorized):
    with pytest.raises(RunError, match="unknown stage"):
        check_verdict(memorized, ("overmemorized",))
    with pytest.raises(RunError, match="no stage"):
        check_verdict(memorized, ())
    with pytest.raises(RunError, match="no such checkpoint"):
        check_verdict(memorized, ("overfit",), "checkpoint-7")
