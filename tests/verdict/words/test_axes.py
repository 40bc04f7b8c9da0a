"""What is said when: one table of sentence against condition, and how an axis's measures make one outcome."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from overmem.records import Cost, Estimate
from overmem.verdict.words.axes import axes_words, axis_outcome
from tests.verdict.words.test_narrative import text, undetermined, verdict

HOLDS = "that is how accuracy can hold while perplexity rises"
OWN_PATH = "its greedy answers take other words there"


def cost(axis, measure, outcome, *, headline=False, direction="lower", against="checkpoint-200"):
    """A difference whose interval says the outcome, lower being better."""
    low, high = {
        "worse": (0.1, 0.3),
        "better": (-0.3, -0.1),
        "changed": (0.1, 0.3),
        "no clear difference": (-0.1, 0.3),
        "undefined": (math.nan, math.nan),
    }[outcome]
    value = math.nan if outcome == "undefined" else (low + high) / 2
    reason = "no problem to measure it on" if outcome == "undefined" else None
    return Cost(
        axis=axis,
        measure=measure,
        against=against,
        difference=Estimate(value, low, high, 100, reason),
        direction="context" if outcome == "changed" else direction,
        headline=headline,
        p=0.001,
        p_holm=0.001 if headline else math.nan,
    )


def with_share(record, own):
    return replace(record, severity=replace(record.severity, own_path_share=own))


UNCLEAR = "no clear difference"
CONDITIONS = [
    # what is known, the sentence, whether it is said
    ("accuracy held", verdict("over-memorized"), HOLDS, True),
    ("it leans so", undetermined(), HOLDS, True),
    ("accuracy fell", verdict("overfit"), HOLDS, False),
    ("accuracy fell", verdict("overfit"), OWN_PATH, True),
    ("most of the excess is elsewhere", with_share(verdict("over-memorized"), 0.3), OWN_PATH, False),
    ("not inflated", verdict("fit"), "first choice", False),
    (
        "all measures unclear",
        verdict(costs=(cost("ood", "accuracy", UNCLEAR, headline=True), cost("ood", "nll", UNCLEAR))),
        "no clear difference in ood",
        True,
    ),
    (
        "headline unclear, another measure worse",
        verdict(costs=(cost("ood", "accuracy", UNCLEAR, headline=True), cost("ood", "nll", "worse"))),
        "no clear difference in ood",
        False,
    ),
    (
        "headline unclear, another measure worse",
        verdict(costs=(cost("ood", "accuracy", UNCLEAR, headline=True), cost("ood", "nll", "worse"))),
        "mixed in ood",
        True,
    ),
    (
        "headline better, another measure worse",
        verdict(costs=(cost("ood", "pass_at_8", "better", headline=True), cost("ood", "nll", "worse"))),
        "better in ood",
        False,
    ),
    (
        "headline and all others worse",
        verdict(costs=(cost("ood", "nll", "worse", headline=True), cost("ood", "nll_a", "worse"))),
        "worse in ood (nll +0.200, +0.100 to +0.300)",
        True,
    ),
    (
        "headline undefined, another measure worse",
        verdict(costs=(cost("ood", "accuracy", "undefined", headline=True), cost("ood", "nll", "worse"))),
        "mixed in ood",
        True,
    ),
    (
        "a choice by accuracy alone was better, not a cost",
        verdict(
            alternatives={"lowest_perplexity": None, "highest_accuracy": "checkpoint-300"},
            alternative_costs={"highest_accuracy": "checkpoint-300 against checkpoint-200: accuracy +5."},
        ),
        "cost",
        False,
    ),
]


@pytest.mark.parametrize(("condition", "record", "sentence", "said"), CONDITIONS)
def test_a_sentence_is_said_under_its_condition_only(condition, record, sentence, said):
    assert (sentence in text(record)) == said, condition


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["worse"], "worse"),
        (["worse", "worse", UNCLEAR], "worse"),
        (["worse", "better"], "mixed"),
        ([UNCLEAR, UNCLEAR], UNCLEAR),
        ([UNCLEAR, "changed"], UNCLEAR),
        (["changed"], "changed"),
        (["undefined", UNCLEAR], "undefined"),
    ],
)
def test_an_axis_is_its_headline_unless_its_measures_disagree(outcomes, expected):
    costs = [cost("a", f"m{i}", outcome, headline=i == 0) for i, outcome in enumerate(outcomes)]
    assert axis_outcome(costs) == expected


def test_many_measures_of_a_mixed_axis_are_counted():
    costs = [cost("a", f"m{i}", "worse", headline=False) for i in range(1, 6)]
    words = axes_words(verdict(costs=(cost("a", "m0", UNCLEAR, headline=True), *costs)))
    assert "worse: m1, m2, m3 and 2 more" in words
