"""Evaluations as series: sets by name, the last of a step, what is no number, how many problems."""

import math
from typing import Any

import pytest

from overmem.logs.history import LoggedHistory
from overmem.logs.series import Series, read_series


def history(rows: list[dict[str, Any]], **more: Any) -> LoggedHistory:
    return LoggedHistory(rows=tuple(rows), source="log", kind="trainer_state", **more)


def series(values: list[float], lower: bool = True) -> Series:
    steps = tuple(range(1, len(values) + 1))
    return Series(
        key="eval_x", set_name="", measure="x", lower=lower, steps=steps, values=tuple(values), unreadable={}
    )


def test_sets_are_told_by_their_losses_and_metrics_belong_to_them() -> None:
    rows = [{"step": 1, "eval_g0_loss": 1.0, "eval_g0_accuracy": 0.5, "eval_loss": 2.0, "eval_f1": 0.1}]
    found = [(one.set_name, one.measure) for one in read_series(history(rows))]
    assert found == [("", "loss"), ("g0", "loss"), ("", "f1"), ("g0", "accuracy")]


def test_the_last_of_a_step_counts_and_steps_are_in_order() -> None:
    rows = [
        {"step": s, "eval_loss": v} for s, v in ((20, 2.0), (10, 3.0), (20, 1.5), (30, math.inf), (40, "x"))
    ]
    (one,) = read_series(history(rows))
    assert (one.steps, one.values) == ((10, 20), (3.0, 1.5))
    assert one.unreadable == {30: "inf", 40: "x"}


def test_what_is_no_metric_is_left_out_unless_the_settings_pick_by_it() -> None:
    rows = [{"step": 1, "eval_loss": 1.0, "eval_runtime": 2.0, "eval_gen_len": 20.0, "eval_banana": 3.0}]
    assert [one.measure for one in read_series(history(rows))] == ["loss"]
    picked = {"metric_for_best_model": "eval_banana", "greater_is_better": True}
    found = read_series(history(rows, settings=picked))
    assert [(one.measure, one.lower) for one in found] == [("loss", True), ("banana", False)]


def test_the_size_of_the_set_gives_a_binomial_noise() -> None:
    rows = [
        {
            "step": s,
            "eval_loss": 1.0,
            "eval_accuracy": 0.5,
            "eval_runtime": 2.0,
            "eval_samples_per_second": 200.0,
        }
        for s in (1, 2)
    ]
    accuracy = read_series(history(rows))[1]
    assert accuracy.noise.by == "binomial, 400 problems"
    assert accuracy.noise.value == pytest.approx(0.025, rel=0.01)
    assert math.isnan(read_series(history(rows))[0].noise.value)


def test_the_untrained_model_is_never_the_best() -> None:
    one = Series(
        key="k",
        set_name="",
        measure="loss",
        lower=True,
        steps=(0, 5, 9),
        values=(0.1, 2.0, 1.0),
        unreadable={},
    )
    assert one.steps[one.best()] == 9


def test_points_alike_are_within_the_band() -> None:
    one = series([1.0, 0.50, 0.51, 0.49, 0.51, 0.50, 0.9, 1.4])
    assert [one.steps[i] for i in one.alike(one.best())] == [2, 3, 5, 6]


def test_a_rise_after_the_best_is_weighed_by_the_noise() -> None:
    rise, needed = series([0.6, 0.31, 0.33, 0.45, 0.50]).later_change(1)
    assert rise == pytest.approx(0.19) and rise > needed
    rise, needed = series([0.6, 0.31, 0.42, 0.30, 0.44, 0.29, 0.33]).later_change(1)
    assert rise < needed
    better, _ = series([30.0, 31.0, 36.0], lower=False).later_change(0)
    assert better < 0


def test_the_change_is_between_the_fifth_of_the_points_nearest_to_one_and_the_last_fifth() -> None:
    values = [((7 * i) % 11) / 11 for i in range(23)]
    one = series(values)
    trained = list(one.trained())
    for at in trained[:-1]:
        m = max(1, min(len(trained) // 5, len(values) - 1 - at))
        near = sorted(trained, key=lambda i: abs(i - at))[:m]
        means = [sum(values[i] for i in some) / m for some in (near, trained[-m:])]
        assert one.later_change(at)[0] == pytest.approx(means[1] - means[0]), at


def test_a_metric_in_percent_has_its_noise_in_percent() -> None:
    shared = {"eval_loss": 1.0, "eval_runtime": 1.0, "eval_samples_per_second": 400.0}
    noises = [
        next(
            one
            for one in read_series(history([{"step": 1, "eval_accuracy": value} | shared]))
            if not one.is_loss
        )
        for value in (50.0, 0.5)
    ]
    assert [one.noise.value for one in noises] == [
        pytest.approx(2.5, rel=0.01),
        pytest.approx(0.025, rel=0.01),
    ]
