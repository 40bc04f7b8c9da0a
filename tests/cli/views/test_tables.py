"""Tables of measures: the figures stand beside their intervals, within 80 columns."""

import io
import math
from dataclasses import replace

from rich.console import Console

from overmem.cli.views.tables import render_comparison, render_costs
from overmem.records import Comparison, Cost, Estimate
from overmem.verdict.words.comparison import comparison_words


def cost(axis, measure, value, low, high, *, headline=False, direction="lower", p=0.004):
    return Cost(
        axis=axis, measure=measure, against="checkpoint-400", difference=Estimate(value, low, high, 400),
        direction=direction, value=0.5 + value, reference_value=0.5, headline=headline,
        p_holm=p if headline else math.nan,
    )  # fmt: skip


COSTS = (
    cost("calibration", "token_ece", 0.027, 0.021, 0.034, headline=True),
    cost("calibration", "answer_ece_agreement", 0.01, -0.02, 0.04),
    cost("privacy", "auroc_loss", 0.086, 0.058, 0.120, headline=True),
)


def printed(render, *arguments):
    out = io.StringIO()
    render(*arguments, Console(file=out, width=80, highlight=False))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    return "\n".join(lines)


def comparison(**changes):
    made = {
        "a": ("runs/a",), "b": ("runs/b",), "matched": ("checkpoint-600", "checkpoint-400"),
        "accuracy": (0.94, 0.95), "probability": 0.97, "differences": COSTS, "not_compared": {},
        "thresholds": {"accuracy_margin": 0.03, "resamples": 2000, "seed": 0},
        "measured_in": ("float32", "float32"),
    }  # fmt: skip
    found = Comparison(**made | changes)
    return replace(found, words=comparison_words(found))


def test_costs_show_headlines_and_clear_losses_and_count_the_rest():
    text = printed(render_costs, COSTS, "checkpoint-600")
    assert "checkpoint-600 against checkpoint-400" in text
    assert "token ece" in text and "+0.027 [+0.021,+0.034]" in text and "worse p<0.01" in text
    assert "answer ece" not in text and "1 more measures" in text
    assert printed(render_costs, COSTS[:1], "x").count("more measures") == 0


def test_all_measures_are_shown_where_they_are_asked_for():
    worse = cost("calibration", "temperature_gap", 0.01, 0.005, 0.02)
    assert "2 more measures (1 worse): --full" in printed(render_costs, (*COSTS, worse), "checkpoint-600")
    full = printed(lambda *given: render_costs(*given, full=True), COSTS, "checkpoint-600")
    assert "answer ece" in full and "more measures" not in full


def test_a_comparison_says_the_answer_last_and_where_the_runs_were_matched():
    accuracy = cost("accuracy", "accuracy", 0.05, 0.01, 0.09, headline=True, direction="higher")
    chosen = {"recommended": (("checkpoint-600",), ("checkpoint-400",)), "better": "A"}
    text = printed(render_comparison, comparison(at_recommended=(accuracy,), **chosen))
    said = " ".join(text.split())
    assert (
        "A is better: at the checkpoints to ship (checkpoint-600 of A, checkpoint-400 of B) it solves 5.0 "
        "points more (95% interval 1.0 to 9.0)."
    ) in said
    assert (
        "At matched accuracy (checkpoint-600 of A 94.0%, checkpoint-400 of B 95.0%; within 3 points" in said
    )
    assert "B is better in calibration and privacy." in said
    assert "answer ece" not in text and "1 more measures: --full" in said
    assert text.index("At the recommended") < text.index("A is better") and text.rstrip().endswith(".")
    full = printed(lambda *given: render_comparison(*given, full=True), comparison(**chosen))
    assert "answer ece" in full and "+0.010 [-0.020,+0.040]" in full and "--full" not in full


def test_what_one_side_lacks_is_named_with_what_to_run():
    lacking = {"sample val": "overmem audit runs/b --axes all --checkpoints checkpoint-400"}
    text = printed(render_comparison, comparison(not_compared=lacking))
    assert "Measured on one side only: sample val" in text and lacking["sample val"] in text


def test_two_precisions_are_said_since_they_may_be_the_difference():
    assert "Measured otherwise" not in printed(render_comparison, comparison())
    packed = {"precision and engine": ("float32", "float32, weights in bitsandbytes 4 bit")}
    text = " ".join(printed(render_comparison, comparison(measured_otherwise=packed)).split())
    assert "engine: float32 (A), float32, weights in bitsandbytes 4 bit (B). A difference may" in text


def test_runs_that_cannot_be_matched_have_no_table():
    found = comparison(
        matched=None, reason="no two checkpoints are alike", not_recommended="b: val is not clean"
    )
    text = " ".join(printed(render_comparison, found).split())
    assert "Which run is better to ship cannot be told: no checkpoint is recommended in b: val is" in text
    assert "Not compared at matched accuracy: no two checkpoints are alike (94.0% and 95.0%)." in text
    assert "token ece" not in text
