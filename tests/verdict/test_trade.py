"""The most accurate checkpoint beside the one to ship: which of them each use would want.

Covers: overmem.verdict.words.choice
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from overmem.artifacts.manifest import Manifest
from overmem.records import AgainstBase, BaseModel, Estimate, Recommendation, Trade
from overmem.verdict.trade import USES, _use, measure_trade, speaks_for_shipped
from tests.verdict.words.test_axes import cost
from tests.verdict.words.test_narrative import text, verdict

SHIPPED, OTHER = "checkpoint-200", "checkpoint-300"


def accuracy(outcome="better"):
    """Of the most accurate checkpoint; `cost` takes lower for better."""
    flipped = {"better": "worse", "worse": "better"}.get(outcome, outcome)
    return cost("accuracy", "accuracy", flipped, headline=True, direction="higher")


def trade(*more):
    differences = (cost("likelihood", "nll", "worse", headline=True), accuracy(), *more)
    uses = tuple(_use(name, axes, differences, SHIPPED, OTHER) for name, axes in USES)
    return Trade(shipped=SHIPPED, most_accurate=OTHER, differences=differences, uses=uses)


@pytest.mark.parametrize(
    ("more", "ships"),
    [
        ((), [OTHER, None, None, None]),
        ((cost("diversity", "pass_at_8", "worse", headline=True),), [OTHER, SHIPPED, None, None]),
        ((cost("privacy", "auroc", "worse", headline=True),), [OTHER, None, None, SHIPPED]),
        (
            (
                cost("ood", "accuracy", "better", headline=True),
                cost("robustness", "accuracy_drop", "worse", headline=True),
            ),
            [OTHER, None, None, None],
        ),
        ((cost("ood", "accuracy", "better", headline=True),), [OTHER, None, OTHER, None]),
        ((cost("ood", "accuracy", "no clear difference", headline=True),), [OTHER, None, None, None]),
    ],
)
def test_each_use_goes_by_the_headlines_of_its_axes(more, ships):
    assert [use.ships for use in trade(*more).uses] == ships


def test_the_trade_is_the_more_accurate_one_minus_the_one_to_ship(monkeypatch):
    taken = []

    def compare(left, right, **_):
        taken.append((left.name, right.name))
        return ()

    monkeypatch.setattr("overmem.verdict.trade.compare_places", compare)
    first = verdict()
    names = [summary.name for summary in first.checkpoints]
    shipped, other = names[0], names[-1]

    def of(accuracies):
        points = tuple(
            replace(summary, accuracy=Estimate(accuracies.get(summary.name, 0.1), 0.0, 1.0, 100))
            for summary in first.checkpoints
        )
        recommended = Recommendation(name=shipped, step=1, why="")
        return replace(
            first, checkpoints=points, recommended=recommended, alternatives={"highest_accuracy": other}
        )

    assert measure_trade(None, Manifest(splits={}, checkpoints=()), of({shipped: 0.5, other: 0.5})) is None
    found = measure_trade(None, Manifest(splits={}, checkpoints=()), of({shipped: 0.5, other: 0.6}))
    assert (found.shipped, found.most_accurate) == (shipped, other) and taken == [(other, shipped)]


def test_a_use_says_what_decided_or_what_was_not_measured():
    uses = {use.name: use.why for use in trade(cost("ood", "nll", "worse", headline=True)).uses}
    assert uses["answers alone"] == "accuracy +20.0 points, +10.0 to +30.0: better"
    assert uses["sampling or RL"] == "not measured: --axes diversity"
    assert uses["unlike data"] == "nll +0.200, +0.100 to +0.300: worse"


def said(found):
    return text(replace(verdict(), trade=found))


def test_where_only_perplexity_speaks_for_what_is_shipped_that_is_said():
    words = said(trade(cost("ood", "accuracy", "no clear difference", headline=True)))
    assert "The most accurate checkpoint is checkpoint-300 (over-memorized); against checkpoint-200" in words
    assert "accuracy +20.0 points, +10.0 to +30.0" in words
    assert "only perplexity is in favour of checkpoint-200" in words
    assert "not measured: what sampling or RL, privacy would want" in words


def test_where_an_axis_speaks_for_it_that_is_said_instead():
    found = trade(cost("diversity", "pass_at_8", "worse", headline=True))
    assert [c.measure for c in speaks_for_shipped(found)] == ["pass_at_8"]
    words = said(found)
    assert "worse in diversity (pass at 8 +0.200, +0.100 to +0.300)" in words
    assert "Nothing measured but perplexity" not in words


def test_the_stage_of_what_is_shipped_stands_beside_it():
    chosen = Recommendation(
        name=SHIPPED,
        step=200,
        why="checkpoint-200 has the best",
        stage="undetermined",
        leaning="learning",
        confidence=0.78,
    )
    assert "Ship checkpoint-200 (leans learning, 78% confidence): it has the best." in text(
        verdict(recommended=chosen)
    )


def against_base(outcome, *differences):
    base = BaseModel(
        name="org/base",
        in_run=False,
        accuracy=Estimate(0.30, 0.26, 0.34, 400),
        nll_nats=Estimate(1.2, 1.1, 1.3, 400),
        perplexity=Estimate(3.3, 3.0, 3.7, 400),
        comparisons=(AgainstBase(checkpoint=SHIPPED, outcome=outcome, differences=differences),),
    )
    return text(replace(verdict(), base=base))


@pytest.mark.parametrize(
    ("outcome", "phrase"),
    [
        ("better", "checkpoint-200 is better at its task than the base model (accuracy 30.0%"),
        ("better, and worse elsewhere", "but worse elsewhere"),
        ("form only", "what it has surely learned is their form"),
        ("no better", "is no better than the base model"),
        ("worse", "is worse at its task than the base model"),
        ("undefined", "cannot be told from the base model"),
    ],
)
def test_what_the_fine_tune_came_to_is_said(outcome, phrase):
    assert phrase in against_base(outcome, accuracy())


def test_what_was_lost_beside_the_task_is_named():
    lost = cost("ood", "nll", "worse", headline=True)
    words = against_base("better, and worse elsewhere", accuracy(), lost)
    assert "worse in ood (nll +0.200, +0.100 to +0.300)" in words
    assert "but worse elsewhere. Against it: accuracy" in words  # better things are not listed as worse
    assert "(accuracy 30.0%, 26.0 to 34.0): accuracy" in against_base("better", accuracy())
