"""The gap where evaluations are in the log: planted losses whose gap is known."""

import math
import random

import pytest

from overmem.logs.history import LoggedHistory
from overmem.logs.judged import judge_history

EPOCHS, AN_EPOCH, EVERY = 4, 100, 2


def log(levels, evaluations, *, every=EVERY, noise=0.01, **settings):
    """A log whose training loss is a level an epoch, and evaluations by step: a loss, or losses by key."""
    rng, rows = random.Random(0), []
    for step in range(every, AN_EPOCH * len(levels) + 1, every):
        loss = levels[(step - 1) // AN_EPOCH] * (1 + rng.gauss(0, noise))
        rows.append({"step": step, "epoch": step / AN_EPOCH, "loss": loss, "learning_rate": 1e-4})
    for step, loss in evaluations.items():
        losses = loss if isinstance(loss, dict) else {"eval_loss": loss}
        rows.append({"step": step, "epoch": step / AN_EPOCH, **losses})
    rows.sort(key=lambda row: (row["step"], "loss" not in row))
    return LoggedHistory(rows=tuple(rows), source="log", kind="trainer_state", settings=settings)


def judged(*args, **kwargs):
    run = judge_history(log(*args, **kwargs), "run")
    found = [finding for finding in run.findings if finding.kind == "gap"]
    return run.train_loss_gap, found[0] if found else None


def test_a_narrow_interval_has_a_figure():
    # The rows of epoch 4 were seen three times: 0.5; the next time would take 0.25 of it, three quarters of
    # which, by the last time, are taken from it already.
    gap, said = judged([2.0, 1.25, 0.75, 0.5], {100: 2.0, 400: 2.1})
    assert gap.value == pytest.approx(2.1 - (0.5 - 0.75 * 0.5 / 3), abs=0.03)
    assert gap.low < gap.value < gap.high and gap.reason is None and gap.at_step == 400
    assert gap.first_epoch == pytest.approx(0.0, abs=0.02)
    assert f"Gap to unseen text at step 400: {gap.value:.2f} nats (90% interval " in said.sentence
    assert "At step 100, in the first epoch" in said.sentence and said.severity == "warning"
    assert "eval_dataset" not in said.sentence


def test_a_wide_one_has_none():
    gap, said = judged([2.0, 1.9, 1.8, 1.75], {400: 2.0})
    assert math.isnan(gap.value) and "wider than 20%" in gap.reason
    assert 0 < gap.low < 0.25 < gap.high
    assert f"between {gap.low:.2f} and {gap.high:.2f} nats (90% interval)" in said.sentence
    assert 'eval_dataset={"val": ..., "train": ...}' in said.sentence


def test_a_gap_that_may_be_none_has_an_upper_end():
    _, said = judged([2.0, 2.0, 2.0, 2.0], {400: 2.0})
    assert "at most 0." in said.sentence and "and perhaps none" in said.sentence and said.severity == "note"


def test_one_row_an_epoch_gives_a_lower_end():
    gap, said = judged([2.0, 1.5, 1.0, 0.5], {400: 2.1}, every=100, noise=0)
    assert gap.low == pytest.approx(1.6) and math.isnan(gap.high) and math.isnan(gap.value)
    assert "1.60 nats or more" in said.sentence and "no upper end" in gap.reason


def test_the_rows_after_the_last_evaluation_do_not_count():
    gap, _ = judged([2.0, 1.25, 0.75, 0.5], {100: 2.0, 300: 2.0})
    alone, _ = judged([2.0, 1.25, 0.75], {100: 2.0, 300: 2.0})
    assert (gap.value, gap.at_step) == (pytest.approx(alone.value), 300)


def test_data_that_differ_from_the_start_are_no_warning():
    gap, said = judged([2.0, 2.0, 2.0, 2.0], {100: 3.0, 400: 3.0})
    assert gap.low > 0.5 and gap.first_epoch == pytest.approx(1.0, abs=0.02) and said.severity == "note"


@pytest.mark.parametrize(
    ("levels", "evaluations", "settings"),
    [
        ([2.0], {100: 2.0}, {}),  # no row came back
        ([2.0, 1.5], {100: 2.0}, {}),  # nor before the evaluation
        ([32.0, 24.0, 20.0, 16.0], {100: 2.0, 400: 1.9}, {}),  # another scale
        ([2.0, 1.0, 0.1, 0.05], {100: 0.004, 400: 0.003}, {}),  # near 0
        ([2.0, 1.5, 1.0], {300: 2.0}, {"stage": "sft", "loss_type": "dft"}),
        ([2.0, 1.5, 1.0], {300: 0.3}, {"stage": "dpo"}),
        ([2.0, 1.5, 1.0], {300: {"eval_train_loss": 1.0}}, {}),  # training rows alone
    ],
)
def test_where_there_is_none_to_tell(levels, evaluations, settings):
    assert judged(levels, evaluations, **settings) == (None, None)


def two_sets(trained):
    return {
        100: {"eval_val_loss": 2.0, "eval_train_loss": 1.9},
        400: {"eval_val_loss": 2.1, "eval_train_loss": trained},
    }


def test_training_rows_that_were_evaluated_tell_it():
    gap, said = judged([2.0, 1.25, 0.75, 0.5], two_sets(0.3))
    assert gap.value == pytest.approx(1.8) and math.isnan(gap.low) and gap.at_step == 400
    assert said.sentence.endswith("1.80 nats, `eval_val_loss` 2.1 less `eval_train_loss` 0.3.")


def test_training_rows_pick_no_checkpoint():
    run = judge_history(log([2.0, 1.25, 0.75, 0.5], two_sets(0.003)), "run")
    assert (run.keep.by, run.keep.step) == ("eval_val_loss", 100)
    assert "eval_near_zero" not in {finding.kind for finding in run.findings}
    only = {100: {"eval_train_loss": 1.9}, 200: {"eval_train_loss": 1.0}}
    alone = judge_history(log([2.0, 1.25], only), "run")
    assert alone.keep is None
