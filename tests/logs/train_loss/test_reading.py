"""What is said of planted logs.

Covers: overmem.logs.train_loss.words
"""

import json
import math
import random
import re
import time

import pytest

from overmem.logs.history import LoggedHistory
from overmem.logs.judged import judge_history
from overmem.logs.train_loss.reading import INTERVAL_ONLY, LOST, read_train_loss
from overmem.records import Verdict
from overmem.verdict.logged import read_logged


def history(losses, an_epoch=40, **known):
    rows = tuple(
        {"step": 5 * (i + 1), "epoch": (i + 1) / an_epoch, "loss": loss, "learning_rate": 1e-4}
        for i, loss in enumerate(losses)
    )
    return LoggedHistory(rows=rows, source="log", kind="trainer_state", **known)


def staircase(*levels, n=40, noise=0.02, seed=0):
    rng = random.Random(seed)
    return [level * (1 + rng.gauss(0, noise)) for level in levels for _ in range(n)]


def said(reading):
    return {finding.kind: finding.sentence for finding in reading.findings}


def test_a_staircase_is_named_with_its_gap_and_the_next_epoch():
    reading = read_train_loss(history(staircase(1.5, 1.2, 0.9, 0.6)))
    assert reading.gap.boundary_falls == pytest.approx((0.3, 0.3, 0.3), abs=0.05)
    assert 0.3 < reading.gap.low < 0.9 < reading.gap.high < 2.5
    assert math.isnan(reading.gap.value) and reading.gap.reason == INTERVAL_ONLY
    assert 0.05 < reading.gap.next_epoch_memorized <= reading.gap.next_epoch_fall < 0.4
    words = said(reading)
    assert words["staircase"].startswith(
        "Staircase: the training loss falls by 0.29, 0.29, 0.29 at the start"
    )
    assert "at the start of epochs 2 to 4" in words["staircase"]
    assert "after 4 epochs" in words["train_gap"] and "perplexity" in words["train_gap"]
    assert f"between {reading.gap.low:.2f} and {reading.gap.high:.2f} nats a token" in words["train_gap"]
    assert "cannot say more precisely" in words["train_gap"]
    assert re.search(r"about 0\.\d\d, about 0\.\d\d of it by memorizing", words["next_epoch"])
    assert 'eval_strategy="epoch"' in words["log_next_time"]


def test_perplexity_is_not_spoken_of_where_the_loss_may_be_another():
    words = said(read_train_loss(history(staircase(1.5, 1.2, 0.9)), language_model=False))
    assert "perplexity" not in words["train_gap"] and "a token" not in words["train_gap"]


def test_a_loss_without_steps_has_an_upper_end_only():
    reading = read_train_loss(history(staircase(1.0, 1.0, 1.0)))
    assert math.isnan(reading.gap.value) and reading.gap.low == 0 < reading.gap.high < 0.1
    assert "lost in the noise" in reading.gap.reason
    assert "no_staircase" in said(reading) and "and perhaps none" in said(reading)["train_gap"]
    assert "less than 0.01" in said(reading)["next_epoch"]
    assert math.isnan(reading.gap.next_epoch_memorized)


def test_what_is_lost_in_the_noise_is_not_split_into_memorized_and_learned():
    falling = [loss * (1 - 0.3 * i / 120) for i, loss in enumerate(staircase(1.5, n=120, noise=0.1))]
    words = said(read_train_loss(history(falling)))
    assert "no_staircase" in words
    assert "how much of it by memorizing these rows cannot be told" in words["next_epoch"]


def test_a_smooth_curve_has_no_staircase():
    words = said(read_train_loss(history([1.5 * (1 - 0.3 * i / 120) for i in range(120)])))
    assert "no_staircase" in words and "staircase" not in words


def test_an_upper_end_above_the_loss_itself_is_not_told():
    reading = read_train_loss(history(staircase(1.0, 0.9, n=3, noise=0.6, seed=2), an_epoch=3))
    assert "no_staircase" in said(reading) and math.isnan(reading.gap.high)
    assert reading.gap.reason == f"{LOST}, which is as large as the loss"
    assert said(reading)["train_gap"].startswith("Gap to unseen text: cannot tell, since its steps")


def test_a_loss_that_is_the_sum_of_something_in_the_first_epoch_has_no_known_scale():
    reading = read_train_loss(history(staircase(13.5, 8.0, 6.5, 6.2)))
    assert "its scale is not known" in reading.gap.reason


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (history(staircase(1.5)), "no row came back"),
        (history(staircase(1.5, 1.2, n=2), an_epoch=2), "too few rows"),
        (history([0.0] * 80), "the training loss is 0 from the start"),
        (history([*staircase(1.5), math.nan]), "not a finite number"),
        (history([*staircase(1.5, 1.2), 1e308]), "not a finite number"),
        (history([*staircase(1.5, 1.2), *[4.0] * 40]), "training diverged"),
        (history(staircase(24.0, 20.0)), "its scale is not known: the loss starts at"),
        (history([285.0, *staircase(5, 4)]), "its scale is not known: the loss starts at 285"),
        (history(staircase(1.0, -0.2)), "below 0"),
        (history([]), "no training loss"),
    ],
)
def test_what_cannot_be_told_has_a_reason(log, reason):
    reading = read_train_loss(log)
    assert reason in reading.gap.reason
    assert all(math.isnan(x) for x in (reading.gap.value, reading.gap.low, reading.gap.high))
    if log.rows:
        assert f"cannot tell, since {reading.gap.reason}" in said(reading)["train_gap"]
    else:
        assert reading.findings == ()


def test_a_log_without_epochs_says_so():
    rows = tuple({"step": i + 1, "loss": loss} for i, loss in enumerate(staircase(1.5, 1.2)))
    log = LoggedHistory(rows=rows, source="log", kind="console")
    assert "epochs are not known" in read_train_loss(log).gap.reason
    planned = LoggedHistory(rows=rows, source="log", kind="console", max_steps=80, planned_epochs=2)
    assert read_train_loss(planned).gap.boundary_falls == pytest.approx((0.3,), abs=0.05)


def test_a_step_of_a_thousand_million_is_answered_at_once():
    log = history(staircase(1.5, 1.2))
    far = LoggedHistory(rows=(*log.rows, {"step": 10**9, "loss": 1.0}), source="log", kind="csv")
    assert "too few rows" in read_train_loss(far).gap.reason


def test_200000_rows_are_read_in_seconds():
    log = history(staircase(1.5, 1.2, 0.9, 0.6, n=50_000), an_epoch=50_000)
    before = time.process_time()
    reading = read_train_loss(log)
    assert time.process_time() - before < 5
    assert reading.gap.boundary_falls == pytest.approx((0.3, 0.3, 0.3), abs=0.01)


def test_it_is_in_the_words_and_the_record_of_a_verdict(tmp_path):
    rows = [dict(row) for row in history(staircase(1.5, 1.2, 0.9, 0.6)).rows]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows, "global_step": 800}))
    verdict = read_logged(tmp_path)
    (run,) = verdict.logged.runs
    assert run.train_loss_gap == read_train_loss(history(staircase(1.5, 1.2, 0.9, 0.6))).gap
    assert any(word.startswith("Staircase: ") for word in verdict.words)
    assert any(word.startswith("Gap to unseen text after 4 epochs: ") for word in verdict.words)
    again = Verdict.from_dict(json.loads(json.dumps(verdict.to_dict())))
    assert again.logged.runs[0].train_loss_gap == run.train_loss_gap


def test_a_gap_that_cannot_be_told_is_null_with_its_reason_on_disk(tmp_path):
    rows = [dict(row) for row in history(staircase(1.5)).rows]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows, "global_step": 200}))
    gap = read_logged(tmp_path).to_dict()["logged"]["runs"][0]["train_loss_gap"]
    assert gap["value"] is None and gap["low"] is None and "no row came back" in gap["reason"]


@pytest.mark.parametrize(
    ("more", "kinds", "has_gap"),
    [
        ({}, {"staircase", "train_gap", "next_epoch", "log_next_time"}, True),
        ({"eval_accuracy": 0.4}, set(), False),
        ({"rewards/margins": 0.1}, set(), False),  # a preference loss
    ],
)
def test_what_it_is_said_of(more, kinds, has_gap):
    log = history(staircase(1.5, 1.2, 0.9))
    rows = (*log.rows[:-1], {**log.rows[-1], **more})
    run = judge_history(LoggedHistory(rows=rows, source="log", kind="trainer_state"), "run")
    assert {one.kind for one in run.findings} >= kinds
    assert ("staircase" in {one.kind for one in run.findings}) == has_gap
    assert (run.train_loss_gap is not None) == has_gap
