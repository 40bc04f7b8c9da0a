"""Reading a run that was never audited: what its log says, and what it must not be taken to say.

Covers: overmem.records.logged
"""

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest

from overmem.errors import RunError
from overmem.verdict.logged import read_logged

LOSSES = {100: 0.60, 200: 0.31, 300: 0.33, 400: 0.45, 500: 0.50}


def evaluations(losses: dict[int, Any], key: str = "eval_loss") -> list[dict[str, Any]]:
    """Evaluations of an SFT run, as TRL writes them."""
    more = {"eval_num_tokens": 1000}
    return [{"step": step, "epoch": step / 100, key: loss, **more} for step, loss in losses.items()]


def write_run(run: Path, history: list[Any], saved: tuple[int, ...] = (100, 200, 300, 400, 500)) -> Path:
    for step in saved:
        (run / f"checkpoint-{step}").mkdir(parents=True)
    home = run / f"checkpoint-{saved[-1]}" if saved else run
    write_state(home, history)
    return run


def write_state(folder: Path, history: list[Any], step: int = 500) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": history}))


def test_leanings_follow_the_loss_and_no_stage_is_given(tmp_path: Path) -> None:
    verdict = read_logged(write_run(tmp_path, evaluations(LOSSES)))
    assert verdict.evidence == "logged"
    assert verdict.stage == "undetermined"
    assert {summary.stage for summary in verdict.checkpoints} == {"undetermined"}
    leanings = [summary.leaning for summary in verdict.checkpoints]
    assert leanings == ["learning", "fit", "fit", "over-memorized", "over-memorized"]
    assert all(math.isnan(summary.confidence) for summary in verdict.checkpoints)
    assert verdict.recommended is None
    assert verdict.onset.step is None
    assert verdict.alternatives == {"lowest_perplexity": "checkpoint-200", "highest_accuracy": None}
    assert verdict.severity.perplexity_ratio == pytest.approx(math.exp(0.19))


def test_figures_have_no_interval_and_accuracy_is_undefined(tmp_path: Path) -> None:
    record = read_logged(write_run(tmp_path, evaluations(LOSSES))).to_dict()
    last = record["checkpoints"][-1]
    assert last["perplexity"]["value"] == pytest.approx(math.exp(0.50))
    assert last["perplexity"]["low"] is None
    assert "no interval" in last["perplexity"]["reason"]
    assert last["accuracy"]["value"] is None
    assert "no graded answers" in last["accuracy"]["reason"]
    assert last["confidence"] is None
    json.dumps(record, allow_nan=False)


def test_reason_and_words_name_the_audit_that_settles_it(tmp_path: Path) -> None:
    run = write_run(tmp_path / "my run", evaluations(LOSSES))
    verdict = read_logged(run)
    command = f"overmem audit '{run}' --val VAL --train TRAIN"
    assert verdict.reason is not None
    assert command in verdict.reason
    assert command in " ".join(verdict.words)
    assert "since step 400" in " ".join(verdict.words)
    assert any("not always cross entropy" in note for note in verdict.notes)


def test_token_accuracy_is_not_taken_for_answer_accuracy(tmp_path: Path) -> None:
    rows = [{**row, "eval_mean_token_accuracy": 0.93, "eval_accuracy": 0.8} for row in evaluations(LOSSES)]
    verdict = read_logged(write_run(tmp_path, rows))
    assert all(math.isnan(summary.accuracy.value) for summary in verdict.checkpoints)
    notes = " ".join(verdict.notes)
    assert "`eval_mean_token_accuracy` is token accuracy" in notes
    assert verdict.logged is not None and verdict.logged.runs[0].keep is not None
    assert verdict.logged.runs[0].keep.by == "eval_loss"


def test_evaluations_and_checkpoints_are_matched_by_step(tmp_path: Path) -> None:
    verdict = read_logged(
        write_run(tmp_path, evaluations({100: 0.6, 200: 0.3, 450: 0.4}), saved=(100, 300, 500))
    )
    names = [summary.name for summary in verdict.checkpoints]
    assert names == [
        "checkpoint-100",
        "step-200 (not saved)",
        "checkpoint-300",
        "step-450 (not saved)",
        "checkpoint-500",
    ]
    assert verdict.alternatives["lowest_perplexity"] == "checkpoint-100"
    assert math.isnan(verdict.checkpoints[2].nll_nats.value)
    assert verdict.checkpoints[2].leaning is None
    notes = " ".join(verdict.notes)
    assert "not on disk as a checkpoint: step 200, 450." in notes
    assert verdict.severity.perplexity_ratio == pytest.approx(math.exp(0.1))  # the last that was evaluated
    assert "step 500, was not evaluated" in " ".join(verdict.words)


def test_many_unsaved_steps_are_counted_not_listed(tmp_path: Path) -> None:
    losses = {step: 1 / step for step in range(10, 510, 10)}
    notes = " ".join(read_logged(write_run(tmp_path, evaluations(losses), saved=(500,))).notes)
    assert "49 steps (10, 20, 30, 40, ..., 490)" in notes


def test_no_evaluation_at_all_says_so(tmp_path: Path) -> None:
    verdict = read_logged(write_run(tmp_path, [{"step": 100, "loss": 0.5}, {"step": 500, "loss": 0.1}]))
    assert verdict.reason is not None
    assert "no evaluation to go by" in verdict.reason
    assert all(summary.leaning is None for summary in verdict.checkpoints)
    assert "Nothing was evaluated" in " ".join(verdict.words)
    assert verdict.alternatives["lowest_perplexity"] is None


def test_train_loss_is_never_the_train_nll(tmp_path: Path) -> None:
    verdict = read_logged(write_run(tmp_path, [*evaluations(LOSSES), {"step": 500, "loss": 0.1}]))
    assert all(summary.train_nll_nats is None for summary in verdict.checkpoints)


def test_named_evaluation_sets_are_read_one_by_one(tmp_path: Path) -> None:
    rows = [
        *evaluations(LOSSES, "eval_a_loss"),
        *evaluations({s: 2 * x for s, x in LOSSES.items()}, "eval_b_loss"),
    ]
    verdict = read_logged(write_run(tmp_path, rows))
    assert verdict.logged is not None
    (run,) = verdict.logged.runs
    assert [one.set_name for one in run.series] == ["a", "b", "mean of the sets"]
    assert run.series[1].best == 0.62
    assert run.keep is not None and (run.keep.step, run.keep.value) == (200, pytest.approx(0.465))
    assert "mean of 2 evaluation sets" in " ".join(verdict.words)


def test_one_evaluation_is_not_a_trend(tmp_path: Path) -> None:
    verdict = read_logged(write_run(tmp_path, evaluations({500: 0.4})))
    assert verdict.checkpoints[-1].leaning is None


def test_the_last_of_two_evaluations_at_a_step_counts(tmp_path: Path) -> None:
    verdict = read_logged(write_run(tmp_path, [*evaluations(LOSSES), {"step": 500, "eval_loss": 0.32}]))
    assert verdict.checkpoints[-1].nll_nats.value == 0.32
    assert verdict.checkpoints[-1].leaning == "fit"


@pytest.mark.parametrize("field", ["eval_loss", "epoch", "loss"])
@pytest.mark.parametrize("bad", [10**400, "x", [1], {}, math.nan, None])
def test_whatever_stands_in_a_log_there_is_a_verdict_or_one_message(
    tmp_path: Path, field: str, bad: object
) -> None:
    rows = [row | {field: bad} for row in evaluations(LOSSES)]
    assert read_logged(write_run(tmp_path, rows)).stage == "undetermined"


@pytest.mark.parametrize("bad", [10**400, 1e300, "x", [1], -1, True, None])
def test_a_step_that_is_none_is_one_message(tmp_path: Path, bad: object) -> None:
    rows = [row | {"step": bad} for row in evaluations(LOSSES)]
    with pytest.raises(RunError, match="has no step"):
        read_logged(write_run(tmp_path, rows))


@pytest.mark.parametrize("bad", [math.nan, math.inf, "n/a", None, [1], True])
def test_a_loss_that_is_no_number_is_undefined(tmp_path: Path, bad: object) -> None:
    verdict = read_logged(write_run(tmp_path, evaluations({**LOSSES, 500: bad})))
    last = verdict.checkpoints[-1]
    assert math.isnan(last.nll_nats.value)
    assert last.nll_nats.reason == "the log has no evaluation loss at this step"
    assert f"`eval_loss` is {bad} at step 500: not counted." in " ".join(verdict.words)


def test_a_diverged_loss_has_no_perplexity(tmp_path: Path) -> None:
    last = read_logged(write_run(tmp_path, evaluations({**LOSSES, 500: 5000.0}))).checkpoints[-1]
    assert last.nll_nats.value == 5000.0
    assert math.isnan(last.perplexity.value)
    assert "too large" in str(last.perplexity.reason)


def test_the_newest_state_is_read_and_the_roots_wins_a_tie(tmp_path: Path) -> None:
    write_run(tmp_path, evaluations(LOSSES))
    write_state(tmp_path / "checkpoint-100", evaluations({100: 9.0}), step=100)
    assert read_logged(tmp_path).checkpoints[-1].nll_nats.value == 0.50
    write_state(tmp_path, [*evaluations(LOSSES), {"step": 500, "eval_loss": 0.9}])
    assert read_logged(tmp_path).checkpoints[-1].nll_nats.value == 0.9


def test_a_final_model_at_the_root_is_a_checkpoint(tmp_path: Path) -> None:
    write_run(tmp_path, evaluations(LOSSES), saved=())
    (tmp_path / "model.safetensors").touch()
    verdict = read_logged(tmp_path / "trainer_state.json")
    assert verdict.checkpoints[-1].name == "final"
    assert verdict.alternatives["lowest_perplexity"] == "final"


def test_a_missing_log_is_an_error_that_names_the_audit(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-100").mkdir()
    with pytest.raises(RunError, match="no training log") as caught:
        read_logged(tmp_path)
    assert "overmem audit" in str(caught.value)
    with pytest.raises(RunError, match="does not exist"):
        read_logged(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("{", "cannot be read as JSON"),
        ("[]", "not a trainer state"),
        ('{"global_step": 5}', "not a trainer state"),
        ('{"log_history": {}}', "not a trainer state"),
        ('{"log_history": [{"eval_loss": 1}]}', "row 0 of log_history"),
        ('{"log_history": [3]}', "row 0 of log_history"),
    ],
)
def test_a_malformed_log_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "trainer_state.json").write_text(content)
    with pytest.raises(RunError, match=message):
        read_logged(tmp_path)


def test_without_a_language_model_there_is_no_talk_of_perplexity(tmp_path: Path) -> None:
    rows = [{"step": step, "eval_loss": loss} for step, loss in LOSSES.items()]
    verdict = read_logged(write_run(tmp_path, rows))
    assert all(math.isnan(one.perplexity.value) for one in verdict.checkpoints)
    assert verdict.alternatives["lowest_perplexity"] is None
    assert "not read as a perplexity" in verdict.words[0]
    assert not any("perplexity" in words.lower() for words in verdict.words[1:])
    assert "undefined" not in " ".join(verdict.words)


def test_loss_up_while_the_metric_improves_is_said_and_leaned_to(tmp_path: Path) -> None:
    wers = dict(zip(LOSSES, (30.0, 25.1, 22.0, 20.9, 20.0), strict=True))
    rows = [{"step": s, "eval_loss": loss, "eval_wer": wers[s]} for s, loss in LOSSES.items()]
    verdict = read_logged(write_run(tmp_path, rows))
    assert verdict.checkpoints[-1].leaning == "over-memorized"
    assert "over-memorization written in the log" in " ".join(verdict.words)
    assert "keep checkpoint-500" in " ".join(verdict.words)


def write_two_runs(folder: Path, *, second: tuple[int, ...]) -> Path:
    """Checkpoints 100, 300 and 500 of a run that is best at 300, and those of one that is best at 150."""
    for steps, rows in (((100, 300, 500), evaluations(LOSSES)), (second, evaluations({150: 1.2, 450: 1.5}))):
        for step in steps:
            (folder / f"checkpoint-{step}").mkdir()
            write_state(
                folder / f"checkpoint-{step}", [row for row in rows if row["step"] <= step], step=step
            )
    return folder


def test_each_run_of_a_folder_has_its_own_answer(tmp_path: Path) -> None:
    verdict = read_logged(write_two_runs(tmp_path, second=(150, 450)))
    assert verdict.logged is not None and len(verdict.logged.strangers) == 1
    assert "2 runs lie in this folder" in " ".join(verdict.words)
    assert {"checkpoint-150", "checkpoint-450"}.isdisjoint(one.name for one in verdict.checkpoints)
    last = verdict.words[-1]
    assert last.startswith("Run 2 of 2, 450 steps (checkpoint-150, checkpoint-450).")
    assert "keep checkpoint-150" in last and "keep checkpoint-150" not in " ".join(verdict.words[:-1])
    assert "move checkpoint-150 and checkpoint-450 to a folder of their own" in last
    assert "move checkpoint-100, checkpoint-300 and checkpoint-500 to" in (verdict.reason or "")


def test_one_checkpoint_of_another_run_is_audited_where_it_lies(tmp_path: Path) -> None:
    last = read_logged(write_two_runs(tmp_path, second=(450,))).words[-1]
    assert f"`overmem audit {tmp_path} --checkpoints-glob checkpoint-450 --val VAL --train TRAIN`" in last


def test_runs_beyond_those_in_words_are_counted(tmp_path: Path) -> None:
    for step in range(1, 20):
        (tmp_path / f"checkpoint-{step}").mkdir(parents=True)
        write_state(tmp_path / f"checkpoint-{step}", evaluations({step: 1 + step / 10}), step=step)
    words = read_logged(tmp_path).words
    assert words[-2].startswith("Run 13 of 19, ") and words[-1].startswith("6 more runs are in the record")


def test_runs_in_one_file_are_not_moved(tmp_path: Path) -> None:
    log = tmp_path / "trainer_log.jsonl"
    rows = [{"current_steps": s, "total_steps": t, "loss": 1.0} for t in (30, 20) for s in (10, t)]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = " ".join(read_logged(log).words)
    assert "2 runs are in this log" in words and "Run 2 of 2" in words and "move" not in words


def test_a_huge_log_is_read_within_seconds_and_its_record_stays_small(tmp_path: Path) -> None:
    rows = [{"step": s, "epoch": s / 1000, "eval_loss": 1 + (s % 97) / 1000} for s in range(1, 200_001)]
    write_state(tmp_path, rows, step=200_000)
    began = time.process_time()
    verdict = read_logged(tmp_path)
    assert time.process_time() - began < 5
    assert len(verdict.checkpoints) < 400
    assert len(json.dumps(verdict.to_dict())) < 1 << 19
    assert verdict.logged is not None
    series, keep = verdict.logged.runs[0].series[0], verdict.logged.runs[0].keep
    assert series.n_points == 200_000 and all(one.epoch == one.step / 1000 for one in series.points)
    assert keep is not None and keep.epoch == keep.step / 1000
