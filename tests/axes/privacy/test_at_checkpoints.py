"""The worst attack's figures of an audited run, from saved rows to the verdict's sentence and the gate."""

from __future__ import annotations

import numpy as np
import pytest

from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.artifacts.jobs import EARLY_TRAIN, EARLY_VAL, TRAIN_SCORES, VAL_SCORES
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.rows import subset
from overmem.axes.privacy.at_checkpoints import measure_privacy
from overmem.errors import RunError
from overmem.verdict.gate import check_privacy
from overmem.verdict.words.choice import privacy_words
from tests.helpers.privacy import write_audit
from tests.helpers.verdicts import make_verdict

N = 210
STEPS = (0, 1000, 3000, 6000)
GAIN = {0: 0.0, 1000: 0.0, 3000: 0.015, 6000: 0.06}
"""Nats a token that members have become easier by, at each step."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of four checkpoints whose members become easier by little, so that only `early` sees it."""
    rng = np.random.default_rng(0)
    gains = {
        step: {"train": rng.normal(more, 0.01, N), "val": rng.normal(0, 0.01, N)}
        for step, more in GAIN.items()
    }
    return write_audit(tmp_path_factory.mktemp("run"), rng, gains)


def test_the_early_rows_of_every_checkpoint_are_those_of_the_first_trained_one(run):
    _, store, manifest = run
    first = MeasuredCheckpoint(store, manifest, "checkpoint-1000")  # checkpoint-0 is the base model
    for step in STEPS:
        place = MeasuredCheckpoint(store, manifest, f"checkpoint-{step}")
        assert place.jobs() == {TRAIN_SCORES, VAL_SCORES, EARLY_TRAIN, EARLY_VAL}
        assert place.rows(EARLY_TRAIN).equals(first.rows(TRAIN_SCORES))
        assert place.settings(EARLY_VAL) == first.settings(VAL_SCORES)


def test_a_run_that_was_never_trained_has_no_early_checkpoint(run):
    _, store, manifest = run
    untrained = Manifest(splits=manifest.splits, checkpoints=manifest.checkpoints[:1])
    place = MeasuredCheckpoint(store, untrained, "checkpoint-0")
    assert place.jobs() == {TRAIN_SCORES, VAL_SCORES}
    with pytest.raises(KeyError):
        place.rows(EARLY_TRAIN)


def test_the_figures_rise_with_what_members_gained(run):
    _, store, manifest = run
    names = [f"checkpoint-{step}" for step in STEPS]
    found = {item.checkpoint: item for item in measure_privacy(store, manifest, names)}
    assert list(found) == names
    aurocs = [found[name].auroc for name in names]
    assert abs(aurocs[1].value - 0.5) < 0.1
    assert 0.7 < aurocs[2].value < 0.95 < aurocs[3].value
    assert found["checkpoint-6000"].auroc_attacks == ("early",)
    assert measure_privacy(store, manifest, []) == ()


def test_nothing_is_measured_without_training_data(run):
    _, store, manifest = run
    alone = Manifest(splits={"val": manifest.splits["val"]}, checkpoints=manifest.checkpoints)
    assert measure_privacy(store, alone, ["checkpoint-6000"]) == ()


def test_the_verdict_says_what_is_shipped_gives_away_beside_the_last(run):
    _, store, manifest = run
    found = measure_privacy(store, manifest, ["checkpoint-3000", "checkpoint-6000"])
    verdict = make_verdict(privacy=found)
    said = privacy_words(verdict)
    assert said in verdict.words
    shipped, last = (item.auroc for item in found)
    assert f"checkpoint-3000 was trained on reaches AUROC {shipped.value:.2f} ({shipped.low:.2f} to " in said
    assert f"; on checkpoint-6000: AUROC {last.value:.2f} (" in said
    assert "the strongest attack: early" in said and "1% false alarms" in said
    assert privacy_words(make_verdict()) is None
    assert type(verdict).from_dict(verdict.to_dict()).privacy == found


def test_the_gate_fails_above_a_limit_and_says_figure_interval_and_attack(run):
    folder, store, manifest = run
    (figure,) = measure_privacy(store, manifest, ["checkpoint-6000"])
    verdict = make_verdict()
    failed = check_privacy(folder, verdict, "last", max_auroc=0.6)
    assert not failed.passed
    assert f"{figure.auroc.value:.3f} ({figure.auroc.low:.3f} to " in failed.reason
    assert "(early)" in failed.reason and failed.reason.endswith("above 0.6")
    assert check_privacy(folder, verdict, "last", max_auroc=1.0, max_recall=1.0).passed
    both = check_privacy(folder, verdict, "recommended", max_auroc=0.99, max_recall=0.0)
    assert not both.passed and "recall" in both.reason and "AUROC" not in both.reason


def test_a_limit_that_cannot_be_checked_is_an_error_with_what_to_do(run, tmp_path):
    folder, _, _ = run
    verdict = make_verdict()
    with pytest.raises(RunError, match="privacy was not measured at checkpoint-6000") as caught:
        check_privacy(tmp_path, verdict, "last", max_auroc=0.6)
    assert "--train" in str(caught.value)
    with pytest.raises(RunError, match="0 to 1"):
        check_privacy(folder, verdict, "last", max_recall=60.0)
    with pytest.raises(RunError, match="no such checkpoint"):
        check_privacy(folder, verdict, "checkpoint-7", max_recall=0.5)


def test_figures_are_of_as_many_members_as_val_has_problems(tmp_path):
    rng = np.random.default_rng(1)
    gains = {step: {"train": np.full(90, 0.1 * step), "val": np.zeros(30)} for step in (1, 2)}
    _, store, manifest = write_audit(tmp_path, rng, gains)
    places = [MeasuredCheckpoint(store, manifest, "checkpoint-2")]
    (few,), (every,) = (align_evidence(places, all_train=all_train) for all_train in (False, True))
    assert len(every.rows[TRAIN_SCORES]) == 90 and len(few.rows[VAL_SCORES]) == 30
    ids = manifest.splits["train"].example_ids
    assert set(few.rows[TRAIN_SCORES]["example_id"]) == {ids[i] for i in subset(ids, 30, 0)}
    assert len(few.rows[EARLY_TRAIN]) == 30
