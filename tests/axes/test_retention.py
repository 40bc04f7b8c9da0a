"""Retention by hand: always the checkpoint's minus the base model's, prompt by prompt."""

import math

import polars as pl
import pytest

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import Job, base_answers_job
from overmem.axes.axis import Available
from overmem.axes.retention import AXIS, jobs, measures
from overmem.stats.paired import difference
from overmem.verdict.costs import compare_measured

CHAT, MMLU = "retention/chat", "retention/mmlu"
LOOP = "again and again " * 5


def diverged(*rows, first=0):
    """(tokens, nll, base nll, compared, kl) of each prompt."""
    names = ("n_tokens", "nll_nats", "base_nll_nats", "n_compared", "kl_nats")
    ids = {"example_id": [f"p{first + i}" for i in range(len(rows))]}
    return pl.DataFrame(
        ids | {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    )


def answered(*rows):
    """(text, finished, correct) of each prompt."""
    texts, finished, correct = zip(*rows, strict=True)
    return pl.DataFrame(
        {
            "example_id": [f"p{i}" for i in range(len(rows))],
            "text": texts,
            "finished": finished,
            "correct": pl.Series(correct, dtype=pl.Float64),
        }
    )


ROWS = {
    Job("diverge", f"base_answers/{CHAT}"): diverged((2, 3.0, 1.0, 2, 0.5), (6, 5.0, 3.0, 4, 1.0)),
    Job("diverge", "base_answers/val"): diverged((1, 4.0, 1.0, 1, 2.0)),
    Job("greedy", CHAT): answered(
        ("fine", True, None), (LOOP, False, None), ("", True, None), ("a\nUser: b", True, None)
    ),
    Job("greedy", CHAT, model="base"): answered(*[("fine", True, None)] * 3, ("more", False, None)),
    Job("lm_eval", MMLU): answered(("A", True, 0.0), ("B", True, 1.0), ("C", True, 0.0), ("D", True, 0.0)),
    Job("lm_eval", MMLU, model="base"): answered(*[("A", True, 1.0)] * 3, ("B", True, 0.0)),
}  # fmt: skip


def figures(rows):
    return {measure.name: measure for measure in measures(Evidence(rows=rows, texts={}))}


def test_jobs():
    sets, external = ("val", "train", CHAT, MMLU), frozenset({MMLU})
    asked = jobs(Available(sets=sets, external=external, has_base=True))
    assert asked == (
        Job("greedy", CHAT),
        Job("greedy", CHAT, model="base"),
        Job("lm_eval", MMLU),
        Job("lm_eval", MMLU, model="base"),
        Job("greedy", "val", model="base"),
    )
    assert [job for job in map(base_answers_job, asked) if job is not None] == [
        Job("diverge", f"base_answers/{CHAT}"),
        Job("diverge", "base_answers/val"),
    ]
    assert jobs(Available(sets=sets, external=external)) == () and "--base-model" in AXIS.needs
    assert jobs(Available(sets=("val",), has_base=True)) == ()


def test_figures_by_hand():
    found = figures(ROWS)
    assert {name: measure.value() for name, measure in found.items()} == pytest.approx(
        {
            "nll_rise_chat": (2 + 2) / 8,
            "kl_chat": 1.5 / 6,
            "accuracy_loss_mmlu": 2 / 4,
            "format_loss_chat": 3 / 4 - 1 / 4,
            "loop_rise_chat": 1 / 4,
            "endless_rise_chat": 0.0,
            "kl_val": 2.0,
            "nll_rise_val": 3.0,
        }
    )
    assert next(iter(found)) == "accuracy_loss_mmlu"
    assert {name: m.direction for name, m in found.items() if m.direction != "lower"} == {
        "kl_val": "context",
        "nll_rise_val": "context",
    }


def test_with_several_sets_the_mean_of_each_figure_goes_first():
    other = {
        Job("diverge", "base_answers/retention/sums"): diverged((1, 2.0, 1.0, 1, 3.0)),
        Job("greedy", "retention/sums"): answered(("7", True, 1.0), ("8", True, 0.0)),
        Job("greedy", "retention/sums", model="base"): answered(("7", True, 1.0), ("9", True, 1.0)),
    }
    found = figures(ROWS | other)
    values = {name: measure.value() for name, measure in found.items()}
    assert next(iter(found)) == "accuracy_loss" and values["nll_rise"] == pytest.approx((0.5 + 1.0) / 2)
    assert values["kl"] == pytest.approx((0.25 + 3.0) / 2)
    assert values["accuracy_loss"] == pytest.approx((0.5 + 0.5) / 2) and values["accuracy_loss_sums"] == 0.5
    assert values["format_loss"] == pytest.approx((0.5 + 0.0) / 2)


def test_the_base_model_itself_has_lost_nothing():
    base = {
        replaced: rows for job, rows in ROWS.items() if job.model == "base"
        for replaced in (job, Job(job.kind, job.set))
    }  # fmt: skip
    unmoved = diverged((2, 1.0, 1.0, 2, 0.0), (6, 3.0, 3.0, 4, 0.0))
    base |= {Job("diverge", f"base_answers/{CHAT}"): unmoved}
    found = figures(base)
    assert len(found) == 6 and all(measure.value() == 0 for measure in found.values())
    # So a checkpoint against the base model is the checkpoint's own figure, on the same draws.
    sides = [{"retention": figures(ROWS)}], [{"retention": found}]
    cost = next(c for c in compare_measured(*sides, against="base") if c.measure == "nll_rise_chat")
    assert cost.difference.value == pytest.approx(0.5) and cost.reference_value == 0


def test_prompts_are_drawn_in_pairs_and_one_that_the_base_lacks_is_left_out():
    own = ROWS[Job("greedy", CHAT)]
    rows = ROWS | {Job("greedy", CHAT): own.reverse()}  # order does not matter
    assert figures(rows)["loop_rise_chat"].value() == 0.25
    fewer = ROWS | {Job("greedy", CHAT, model="base"): ROWS[Job("greedy", CHAT, model="base")].head(2)}
    assert figures(fewer)["loop_rise_chat"].value() == 0.5 and figures(fewer)["loop_rise_chat"].problems == 2
    alike = difference([figures(ROWS)["kl_chat"]], [figures(ROWS)["kl_chat"]]).estimate
    assert alike.value == 0 and math.isnan(alike.low)


def test_what_is_missing_leaves_its_figures_out():
    assert figures({}) == {}
    only = {Job("greedy", CHAT): ROWS[Job("greedy", CHAT)]}
    assert figures(only) == {}
