"""A verdict that hangs on one row says so: planted corrupt rows, light tails, and the words.

Covers: overmem.stats.tails.influence, overmem.verdict.words.sensitivity
"""

import dataclasses
import math

import numpy as np
import pytest

from overmem.records import Sensitivity, Verdict
from overmem.rule import DEFAULT_RULE
from overmem.stats.tails.influence import largest_moves, top_share
from overmem.verdict.judge import judge, judge_by
from overmem.verdict.warnings.sensitivity import LEAST_MOVE
from overmem.verdict.words.narrative import plain_words
from overmem.verdict.words.sensitivity import sensitivity_words
from tests.helpers.verdicts import make_verdict

STEPS = [100, 200, 300, 400, 500]
RISING = [0.40, 0.34, 0.36, 0.50, 0.60]


def rows(nll=RISING, n=400, seed=0):
    """Rows of a run that ends over-memorized, with light tails."""
    rng = np.random.default_rng(seed)
    correct_C_N = (rng.random(n) < 0.7).astype(float)[None].repeat(len(nll), axis=0)
    tokens_N = rng.integers(30, 60, n).astype(float)
    factor_C_N = np.exp(rng.normal(0, 0.2, n) + rng.normal(0, 0.05, (len(nll), n)))
    return correct_C_N, np.array(nll)[:, None] * tokens_N * factor_C_N, tokens_N


def judged(correct_C_N, nll_C_N, tokens_N):
    ids = [f"gsm8k-{i}" for i in range(tokens_N.size)]
    return judge_by(DEFAULT_RULE, STEPS, correct_C_N, nll_C_N, tokens_N, ids=ids)


@pytest.fixture(scope="module")
def corrupt() -> Verdict:
    """One row of 400 whose NLL at the first checkpoints hides that the last is inflated."""
    correct_C_N, nll_C_N, tokens_N = rows()
    nll_C_N[:3, 17] += 5000.0
    return judged(correct_C_N, nll_C_N, tokens_N)


def test_one_corrupt_row_of_400_is_named_with_the_stage_without_it(corrupt):
    found = corrupt.sensitivity
    assert corrupt.stage != "over-memorized"
    assert found.problems == ("gsm8k-17",) and found.decides
    assert found.stage == "over-memorized" and found.confidence > 0.9
    assert found.largest_move > 0.9 and found.n == 400


def test_the_words_say_which_row_decides(corrupt):
    said = next(text for text in plain_words(corrupt) if "decides" in text)
    assert said.startswith(
        "One problem of 400 decides: without problem `gsm8k-17` the stage would be over-mem"
    )
    assert f"{corrupt.sensitivity.recommended} would be recommended" in said


def test_the_record_keeps_it_and_an_older_record_is_read(corrupt):
    record = corrupt.to_dict()
    assert Verdict.from_dict(record).sensitivity == corrupt.sensitivity
    del record["sensitivity"]
    assert Verdict.from_dict(record).sensitivity is None


def test_rows_of_light_tails_are_judged_once():
    found = judge(STEPS, *rows()).sensitivity
    assert found.problems == () and not found.decides and found.stage is None
    assert found.largest_move < LEAST_MOVE and found.top_problems == 4
    assert 0.01 < found.top_share < 0.1


def test_a_heavy_row_that_changes_nothing_decides_nothing():
    correct_C_N, nll_C_N, tokens_N = rows()
    nll_C_N[:, 17] += 1000.0
    verdict = judged(correct_C_N, nll_C_N, tokens_N)
    assert verdict.sensitivity.problems == ("gsm8k-17",) and not verdict.sensitivity.decides
    assert verdict.sensitivity.stage == verdict.stage == "over-memorized"
    assert not any("decides" in text for text in plain_words(verdict))


def test_too_few_problems_are_not_made_fewer():
    correct_C_N, nll_C_N, tokens_N = rows(n=30)
    nll_C_N[:3, 17] += 5000.0
    found = judged(correct_C_N, nll_C_N, tokens_N).sensitivity
    assert found.problems == ("gsm8k-17",) and found.stage is None and not found.decides


def test_a_move_is_by_how_many_standard_errors_the_figure_changes():
    _, nll_C_N, tokens_N = rows([0.3, 0.4], n=200)
    nll_C_N[1, 5] += 300.0
    without = [np.delete(part, 5, axis=-1) for part in (nll_C_N, tokens_N)]

    def level(nll, tokens):
        return nll[-1].sum() / tokens.sum()

    residual_N = nll_C_N[-1] - level(nll_C_N, tokens_N) * tokens_N
    se = math.sqrt((residual_N**2).sum()) / tokens_N.sum()
    by_hand = (level(nll_C_N, tokens_N) - level(*without)) / se
    nearly = largest_moves(nll_C_N[1:], tokens_N)
    assert nearly.argmax() == 5 and nearly[5] == pytest.approx(by_hand, rel=0.02)
    assert largest_moves(np.ones((2, 50)), np.ones(50)).max() == 0


def test_the_share_of_the_top_hundredth_by_hand():
    excess_N = np.r_[50.0, 30.0, np.full(198, 0.25), -9.5]
    count, share = top_share(excess_N)
    assert count == 3 and share == pytest.approx(80.25 / 120)
    assert math.isnan(top_share(-excess_N)[1])


def sensitive(n=400, **more):
    found = {"problems": (), "largest_move": 0.3, "n": n, "top_problems": 4, "top_share": 0.05}
    return dataclasses.replace(make_verdict(), sensitivity=Sensitivity(**(found | more)))


def test_what_few_problems_carry_is_said_from_a_quarter_on():
    assert sensitivity_words(sensitive()) is None
    said = sensitivity_words(sensitive(top_share=0.63))
    assert said == "4 problems carry 63% of the excess NLL, of 400 (the top 1%)."
    few = sensitivity_words(sensitive(n=50, top_problems=1, top_share=0.63))
    assert few.startswith("One problem carries 63% of the excess NLL, of 50. With 50 problems")
    assert "less than 6% of all may be missing" in few


def test_several_rows_that_decide_are_named_together():
    said = sensitivity_words(
        sensitive(problems=("a", "b"), decides=True, stage="undetermined", leaning="fit", confidence=0.7)
    )
    assert said == (
        "2 problems of 400 decide: without problems `a` and `b` the stage would be undetermined (leans fit, "
        "70% confidence), and none would be recommended. Look at those rows first."
    )
