"""From a planted log of each kind to what is said of it: our own numbers, and the public logs.

Covers: overmem.logs.keep, overmem.logs.findings.checks
"""

from pathlib import Path
from typing import Any

import pytest

from overmem.errors import RunError
from overmem.logs.history import LoggedHistory, SavedCheckpoint
from overmem.logs.judged import judge_history, read_log
from overmem.records.logged import LoggedRun
from overmem.verdict.words.logged import keep_line
from tests.helpers.paths import ROOT

SHARED = ROOT.parent / "shared" / "data" / "logs"
FALLING = (1.30, 1.22, 1.18, 1.16, 1.15, 1.145)
RISING = (1.30, 1.20, 1.19, 1.26, 1.34, 1.43)


def judged(
    columns: dict[str, Any], saved: tuple[int, ...] = (), train: dict[int, float] | None = None, **more: Any
) -> LoggedRun:
    count = max((len(values) for values in columns.values()), default=0)
    rows: list[dict[str, Any]] = [
        {"step": 100 * (i + 1), "epoch": i + 1.0} | {key: values[i] for key, values in columns.items()}
        for i in range(count)
    ]
    rows += [{"step": step, "loss": loss} for step, loss in (train or {}).items()]
    rows.sort(key=lambda row: (row["step"], "loss" not in row))
    here = [
        SavedCheckpoint(name=f"checkpoint-{s}", step=s, folder=Path("x"), has_weights=True) for s in saved
    ]
    history = LoggedHistory(rows=tuple(rows), source="log", kind="trainer_state", saved=tuple(here), **more)
    return judge_history(history, "run")


def kinds(run: LoggedRun) -> list[str]:
    """What was found, but that the best is the end, which most of these are built as."""
    return [finding.kind for finding in run.findings if finding.kind != "still_improving"]


def test_a_falling_loss_keeps_the_end_and_finds_nothing() -> None:
    run = judged({"eval_loss": FALLING}, saved=(500, 600))
    assert run.keep is not None
    assert (run.keep.step, run.keep.name, run.keep.on_disk) == (600, "checkpoint-600", True)
    assert 500 in run.keep.alike and 100 not in run.keep.alike
    assert kinds(run) == []
    assert "overmem audit run --val VAL" in run.settle


def test_a_rising_loss_keeps_the_lowest_and_what_is_near_on_disk() -> None:
    run = judged({"eval_loss": RISING}, saved=(200, 600))
    assert run.keep is not None
    assert (run.keep.step, run.keep.on_disk) == (300, False)
    assert (run.keep.nearest_on_disk, run.keep.nearest_alike) == ("checkpoint-200", True)
    assert kinds(run) == ["loss_up"]
    assert run.findings[0].steps == (300, 600)


@pytest.mark.parametrize(
    ("metric", "values", "kind", "kept"),
    [
        ("eval_wer", (40.0, 36.0, 34.0, 32.0, 31.0, 30.5), "loss_up_metric_better", 600),
        ("eval_f1", (0.60, 0.70, 0.75, 0.80, 0.83, 0.85), "loss_up_metric_better", 600),
        ("eval_rougeL", (20.0, 25.0, 30.0, 26.0, 21.0, 17.0), "loss_up_metric_worse", 300),
        ("eval_exact_match", (0.1, 0.3, 0.5, 0.4, 0.3, 0.2), "loss_up_metric_worse", 300),
    ],
)
def test_loss_against_metric_is_read_with_the_metrics_direction(
    metric: str, values: tuple[float, ...], kind: str, kept: int
) -> None:
    run = judged({"eval_loss": RISING, metric: values})
    assert kinds(run) == [kind]
    assert metric in run.findings[0].sentence
    assert run.keep is not None and (run.keep.by, run.keep.step) == (metric, kept)
    assert ("over-memorization" in run.findings[0].sentence) == (kind == "loss_up_metric_better")


def test_accuracy_in_a_language_models_log_picks_nothing() -> None:
    config = {"architectures": ["XForCausalLM"]}
    run = judged({"eval_loss": RISING, "eval_accuracy": (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)}, settings=config)
    assert run.keep is not None and run.keep.by == "eval_loss"
    assert run.cross_entropy


def test_the_trainers_choice_is_compared_with_ours() -> None:
    columns = {"eval_loss": RISING, "eval_f1": (0.60, 0.70, 0.72, 0.80, 0.83, 0.85)}
    run = judged(columns, best_metric=1.19, best_checkpoint="out/checkpoint-300")
    (finding,) = [one for one in run.findings if one.kind == "trainers_best"]
    assert "checkpoint-300" in finding.sentence and "0.72 and 0.85" in finding.sentence
    same = judged({"eval_loss": FALLING}, best_metric=1.145, best_checkpoint="out/checkpoint-600")
    assert same.findings[0].severity == "note" and "the same" in same.findings[0].sentence


def test_the_metric_that_the_trainer_picked_by_picks_for_us() -> None:
    columns = {"eval_loss": FALLING, "eval_f1": (0.5,) * 6, "eval_mcc": (0.1, 0.2, 0.6, 0.4, 0.3, 0.2)}
    run = judged(columns, best_metric=0.6)
    assert run.keep is not None and (run.keep.by, run.keep.step) == ("eval_mcc", 300)


def test_an_end_without_evaluation_is_named() -> None:
    run = judged({"eval_loss": FALLING}, saved=(692,), train={692: 1.0})
    assert kinds(run) == ["end_not_evaluated"]
    assert run.findings[0].steps == (600, 692)


def test_a_train_loss_summed_over_accumulation_steps_is_named() -> None:
    train = {100 * (i + 1): 16 * value for i, value in enumerate(FALLING)}
    run = judged({"eval_loss": FALLING}, train=train)
    assert kinds(run) == ["scale"] and "16 accumulation steps" in run.findings[0].sentence
    known = judged({"eval_loss": FALLING}, train=train, settings={"gradient_accumulation_steps": 16})
    assert "summed over the 16 accumulation steps" in known.findings[0].sentence
    assert not kinds(judged({"eval_loss": FALLING}, train={600: 1.0}))


def test_an_evaluation_loss_near_zero_is_named() -> None:
    run = judged({"eval_loss": (0.5, 0.004, 0.0004)})
    assert kinds(run) == ["eval_near_zero"]
    assert run.keep is not None and run.keep.unknown_noise


def test_a_loss_of_zero_throughout_is_named() -> None:
    assert kinds(judged({}, train={s: 0.0 for s in range(10, 100, 10)}))[0] == "zero_loss"


def test_an_evaluation_that_never_changes_and_one_that_is_no_number_are_named() -> None:
    assert "eval_constant" in kinds(judged({"eval_loss": (2.0,) * 5}))
    run = judged({"eval_loss": (2.0, 1.5, float("nan"))})
    assert kinds(run) == ["not_finite", "end_not_evaluated"]
    assert run.keep is not None and run.keep.step == 200


def test_guessing_among_classes_is_named() -> None:
    run = judged(
        {"eval_loss": (1.12, 1.10, 1.11), "eval_accuracy": (0.330, 0.334, 0.331), "eval_f1": (0.2,) * 3}
    )
    assert "at_chance" in kinds(run)


def test_a_fine_tune_below_its_base_is_named() -> None:
    rows = tuple({"step": s, "eval_accuracy": v} for s, v in ((0, 0.7), (10, 0.6), (20, 0.5), (30, 0.5)))
    run = judge_history(LoggedHistory(rows=rows, source="log", kind="trainer_state"), "run")
    assert kinds(run) == ["worse_than_untrained"]
    assert run.keep is not None and run.keep.step == 10


@pytest.mark.parametrize(
    ("values", "severity", "end"),
    [
        ((0.7, 0.50, 0.51, 0.50, 0.51, 0.50), "problem", "the fine-tune is worse than its base."),
        ((0.7, 0.68, 0.60, 0.69, 0.61, 0.68), "warning", "The noise explains a difference of this size"),
        ((0.7, 0.6, 0.5), "warning", "Whether noise explains it cannot be told."),
    ],
)
def test_below_the_base_by_more_than_noise_is_a_problem(
    values: tuple[float, ...], severity: str, end: str
) -> None:
    rows = tuple({"step": 10 * i, "eval_accuracy": value} for i, value in enumerate(values))
    run = judge_history(LoggedHistory(rows=rows, source="log", kind="t"), "run")
    (found,) = [finding for finding in run.findings if finding.kind == "worse_than_untrained"]
    assert found.severity == severity and end in found.sentence
    assert "`eval_accuracy` was 0.7, better than ever after" in found.sentence


def test_a_set_that_was_better_before_training_is_named_beside_the_mean() -> None:
    rows = tuple(
        {"step": 10 * i, "eval_a_loss": 1.0, "eval_b_loss": 1.0, "eval_a_accuracy": a, "eval_b_accuracy": b}
        for i, (a, b) in enumerate(zip((0.9, 0.6, 0.61, 0.6, 0.61), (0.1, 0.6, 0.61, 0.6, 0.61), strict=True))
    )
    run = judge_history(LoggedHistory(rows=rows, source="log", kind="t"), "run")
    said = [finding.sentence for finding in run.findings if finding.kind == "worse_than_untrained"]
    assert len(said) == 1 and "`eval_a_accuracy` was 0.9" in said[0]


@pytest.mark.parametrize(
    ("values", "times"),
    [
        ((3.0, 2.0, 2.1, 2.0, 1.9, 1.8), 3),
        ((3.0, 2.0, 1.5, 1.4), 3),
        ((3.0, 2.0, 1.5, 1.6), None),
        ((3.0, 2.1, 2.2, 2.0, 1.9), None),
        ((3.0, 2.0, 1.0), None),
    ],
)
def test_a_best_at_the_end_of_a_run_of_improvements_is_said(
    values: tuple[float, ...], times: int | None
) -> None:
    run = judged({"eval_loss": values})
    said = [finding.sentence for finding in run.findings if finding.kind == "still_improving"]
    assert [f"the last {times} times" in one for one in said] == ([] if times is None else [True])


def test_a_metric_that_improves_while_the_loss_rises_asks_for_no_longer_training() -> None:
    run = judged({"eval_loss": RISING, "eval_f1": (0.60, 0.70, 0.72, 0.80, 0.83, 0.85)})
    assert [finding.kind for finding in run.findings] == ["loss_up_metric_better"]


@pytest.mark.parametrize(
    ("columns", "doubt"),
    [
        ({"eval_loss": (0.02, 0.01, 0.004, 0.003)}, "; in doubt: that loss is near 0"),
        ({"eval_loss": (1.5, 1.5, 1.5, 1.5)}, "; in doubt: that loss never changes"),
        (
            {"eval_loss": (1.12, 1.10, 1.11), "eval_accuracy": (0.33, 0.334, 0.331)},
            "; in doubt: guessing does as well",
        ),
        ({"eval_loss": (0.02, 0.004), "eval_f1": (0.5, 0.6)}, ""),
        ({"eval_loss": FALLING}, ""),
    ],
)
def test_a_best_point_that_says_little_is_in_doubt(columns: dict[str, Any], doubt: str) -> None:
    assert keep_line(judged(columns)).partition("not on disk)")[2] == doubt


def test_of_sets_that_are_alike_by_their_mean_the_lowest_mean_loss_is_named() -> None:
    loss, accuracy = (1.0, 1.1, 1.2, 1.3), (0.60, 0.61, 0.60, 0.61)
    run = judged(
        {"eval_a_loss": loss, "eval_b_loss": loss, "eval_a_accuracy": accuracy, "eval_b_accuracy": accuracy}
    )
    assert run.keep is not None and run.keep.lowest_loss_alike == min(run.keep.alike)


def test_named_sets_are_read_one_by_one_and_alike_ones_said_once() -> None:
    run = judged({"eval_a_loss": RISING, "eval_b_loss": RISING, "eval_c_loss": FALLING})
    assert kinds(run) == ["loss_up"]
    assert "Likewise `eval_b_loss`" in run.findings[0].sentence
    assert run.keep is not None and run.keep.by == "eval_a_loss, eval_b_loss, eval_c_loss"


def test_a_log_without_evaluations_keeps_nothing() -> None:
    run = judged({}, train={10: 2.0, 20: 1.0})
    assert run.keep is None and run.series == ()


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the public logs are not here")
def test_the_public_logs() -> None:
    said = {}
    for folder in sorted(path for path in SHARED.iterdir() if path.is_dir()):
        try:
            said[folder.name] = read_log(folder)
        except RunError as error:
            assert folder.name == "034" and "Git LFS" in str(error)
    assert len(said) == 18
    assert not any(reading.runs[0].cross_entropy for reading in said.values())
    assert {name for name, reading in said.items() if reading.strangers} == {"012", "023", "039"}
    found = {name: kinds(reading.runs[0]) for name, reading in said.items()}
    assert "loss_up_metric_better" in found["031"] and "loss_up_metric_better" in found["040"]
    assert "loss_up_metric_worse" in found["048"]
    assert {"scale", "end_not_evaluated"} <= set(found["044"])
    assert "end_not_evaluated" in found["047"] and "eval_near_zero" in found["056"]
    assert "zero_loss" in found["037"] and "at_chance" in found["085"]
    assert "staircase" in found["008"] and "staircase" in found["087"]
    assert all("no_staircase" in found[name] for name in ("082", "086"))
    kept = {name: r.runs[0].keep.step for name, r in said.items() if r.runs[0].keep is not None}
    assert kept == {
        "015": 5490,
        "024": 22,
        "031": 4000,
        "040": 2200,
        "044": 600,
        "047": 1000,
        "048": 802,
        "056": 351,
        "068": 100,
        "085": 500,
    }


def test_a_metric_within_its_noise_holds() -> None:
    shares = (0.60, 0.68, 0.70, 0.68, 0.70, 0.69)
    found = {f.kind: f.sentence for f in judged({"eval_loss": RISING, "eval_f1": shares}).findings}
    assert "`eval_f1` holds, within noise" in found["loss_up_metric_better"]


@pytest.mark.parametrize(
    ("best", "says"),
    [(1.15, "does not differ from step 600 (1.15 and 1.145)"), (1.3, "is worse than step 600")],
)
def test_the_trainers_choice_is_held_against_the_noise(best: float, says: str) -> None:
    run = judged({"eval_loss": FALLING}, best_metric=best)
    (said,) = (f.sentence for f in run.findings if f.kind == "trainers_best")
    assert says in said


def test_scales_are_compared_late_in_the_run() -> None:
    late = {100: 9.0, 200: 9.0, 300: 9.0, 400: 1.2, 500: 1.2, 600: 1.2}
    assert "scale" not in kinds(judged({"eval_loss": FALLING}, train=late))
    early = {100: 1.3, 200: 1.3, 300: 1.3, 400: 4.7, 500: 4.7, 600: 4.7}
    assert "scale" in kinds(judged({"eval_loss": FALLING}, train=early))


def test_the_epochs_of_a_run_are_its_last() -> None:
    assert judged({"eval_loss": FALLING}).epochs == 6.0


def test_an_unnamed_set_speaks_before_named_ones() -> None:
    run = judged({"eval_loss": FALLING, "eval_a_loss": RISING, "eval_b_loss": RISING})
    assert run.keep is not None and (run.keep.by, run.keep.step) == ("eval_loss", 600)


def test_of_equal_metrics_the_lowest_loss_is_named() -> None:
    run = judged({"eval_loss": RISING, "eval_f1": (0.5, 0.7, 0.7, 0.7, 0.7, 0.7)})
    assert run.keep is not None and (run.keep.step, run.keep.lowest_loss_alike) == (200, 300)
