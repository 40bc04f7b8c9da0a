"""Tables of measures: the figures stand beside their intervals, within 80 columns."""

import io
import math

from rich.console import Console

from overmem.cli.views.tables import render_comparison, render_costs
from overmem.records import Cost, Estimate
from overmem.verdict.compare import Comparison


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
    return Comparison(**made | changes)


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


def test_a_comparison_says_where_the_runs_were_matched():
    text = printed(render_comparison, comparison())
    assert "Matched at accuracy 94.0% (A, checkpoint-600) and 95.0% (B, checkpoint-400)" in text
    assert "within 3 points with probability 0.97" in " ".join(text.split())
    assert "answer ece" in text and "+0.010 [-0.020,+0.040]" in text


def test_what_one_side_lacks_is_named_with_what_to_run():
    lacking = {"sample val": "overmem audit runs/b --axes all --checkpoints checkpoint-400"}
    text = printed(render_comparison, comparison(not_compared=lacking))
    assert "Measured on one side only: sample val" in text and lacking["sample val"] in text


def test_two_precisions_are_said_since_they_may_be_the_difference():
    assert "measured in" not in printed(render_comparison, comparison())
    packed = ("float32", "float32, weights in bitsandbytes 4 bit")
    text = " ".join(printed(render_comparison, comparison(measured_in=packed)).split())
    assert "A was measured in float32; B in float32, weights in bitsandbytes 4 bit. A difference may" in text


def test_runs_that_cannot_be_matched_have_no_table():
    text = printed(render_comparison, comparison(matched=None, reason="no two checkpoints are alike"))
    assert "Not comparable: no two checkpoints are alike (94.0% and 95.0%)." in text
    assert "token ece" not in text
