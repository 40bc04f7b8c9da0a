"""Fine-tunes planted as arrays, each to be named against its base model: what it gained and what it lost."""

from __future__ import annotations

import numpy as np
import pytest

from overmem.stats.measures import mean_measure, ratio_measure
from overmem.verdict.base_model import losses_elsewhere, name_outcome
from overmem.verdict.costs import compare_measured

N = 400
RNG = np.random.default_rng(11)
SKILL = RNG.random((4, N))
TOKENS = np.full(N, 20.0)


def model(task, nll, elsewhere):
    """A model by its accuracy on the task, its NLL there, and its accuracy on three lm-eval-like tasks."""
    names = ("arc", "hellaswag", "ifeval")
    ood = {
        f"accuracy_{name}": mean_measure(f"accuracy_{name}", "higher", f"ood/{name}", (row < share) * 1.0)
        for name, row, share in zip(names, SKILL[1:], elsewhere, strict=True)
    }
    spread = RNG.gamma(4, 0.25, N)
    return {
        "likelihood": {"nll": ratio_measure("nll", "lower", "val", nll * TOKENS * spread, TOKENS)},
        "accuracy": {"accuracy": mean_measure("accuracy", "higher", "val", (SKILL[0] < task) * 1.0)},
        "ood": ood,
    }


BASE = (0.30, 1.2, (0.60, 0.55, 0.50))


@pytest.mark.parametrize(
    ("name", "tuned", "expected", "lost"),
    [
        ("healthy", (0.55, 0.5, (0.61, 0.55, 0.50)), "better", []),
        ("gains on its task, loses elsewhere", (0.55, 0.5, (0.60, 0.55, 0.30)), "better, and worse elsewhere",
         ["accuracy_ifeval"]),
        ("learned nothing", (0.31, 1.2, (0.60, 0.55, 0.50)), "no better", []),
        ("worse than its base", (0.15, 0.9, (0.60, 0.55, 0.50)), "worse", []),
        # The very same answers have no spread and so no interval; that is no gain either.
        ("only formats", (0.30, 0.5, (0.60, 0.55, 0.50)), "form only", []),
        ("formats and forgets", (0.30, 0.5, (0.40, 0.55, 0.50)), "form only, and worse elsewhere",
         ["accuracy_arc"]),
    ],
)  # fmt: skip
def test_each_planted_fine_tune_is_named(name, tuned, expected, lost):
    found = compare_measured([model(*tuned)], [model(*BASE)], against="the base model")
    assert name_outcome(found) == expected, name
    assert [cost.measure for cost in losses_elsewhere(found)] == lost


def test_without_answers_likelihood_alone_speaks():
    sides = [{"likelihood": model(0.3, nll, (0.6, 0.5, 0.5))["likelihood"]} for nll in (0.5, 1.2)]
    assert name_outcome(compare_measured([sides[0]], [sides[1]], against="the base model")) == "likelier"
    assert name_outcome(compare_measured([sides[1]], [sides[0]], against="the base model")) == "less likely"
    assert name_outcome([]) == "undefined"


def test_a_skill_that_is_lost_whole_is_lost():
    """Every problem of a set fails, and so no draw varies: that is no reason to see nothing."""
    [before, after] = [
        {"ood": {"accuracy_arc": mean_measure("accuracy_arc", "higher", "ood/arc", np.full(40, share))}}
        for share in (1.0, 0.0)
    ]
    lost = losses_elsewhere(compare_measured([after], [before], against="the base model"))
    assert [cost.measure for cost in lost] == ["accuracy_arc"]


def test_a_loss_that_chance_explains_among_many_sets_is_not_called_one():
    """One set of ten with p of about 0.02: adjusted over them it is no loss, alone it is."""
    many = compare_measured([few_lost(10)], [few_lost(10, lost=0)], against="the base model")
    alone = [cost for cost in many if cost.measure == "accuracy_0"]
    assert 0.005 < alone[0].p < 0.05
    assert not losses_elsewhere(many)
    assert [cost.measure for cost in losses_elsewhere(alone)] == ["accuracy_0"]


def few_lost(sets, lost=8):
    """Accuracies on sets of 100 problems: of the first, some lost and one won; of the others, two and two."""
    found = {}
    for number in range(sets):
        correct = np.arange(100) % 2 * 1.0
        gone, won = (lost, 1) if number == 0 else (2, 2)
        if lost:
            correct[1 : 1 + 2 * gone : 2], correct[0 : 2 * won : 2] = 0.0, 1.0
        name = f"accuracy_{number}"
        found[name] = mean_measure(name, "higher", f"ood/{number}", correct)
    return {"ood": found}


def test_three_sets_without_a_change_are_rarely_called_a_loss():
    """At most one run in twenty, however many sets there are: p is adjusted over them."""
    rng, called = np.random.default_rng(5), 0
    for _ in range(60):
        sides = [
            {
                "ood": {
                    name: mean_measure(name, "higher", name, (rng.random(200) < 0.5) * 1.0)
                    for name in ("accuracy_a", "accuracy_b", "accuracy_c")
                }
            }
            for _ in range(2)
        ]
        called += bool(losses_elsewhere(compare_measured([sides[0]], [sides[1]], against="b", draws=400)))
    assert called <= 6
