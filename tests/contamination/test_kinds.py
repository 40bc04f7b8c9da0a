"""Copies, rewordings and renumbered problems are told apart, and problems drawn apart are none of them.

Covers: overmem.contamination.pairs
"""

import math

import numpy as np
import polars as pl
import pytest

from overmem.contamination.kinds import find_overlap, read_sets
from overmem.contamination.pairs import _candidates, similar_pairs, word_bits
from overmem.records import Example
from overmem.tasks.sources import load_examples
from tests.helpers.paths import ROOT

TRAIN = [
    Example(
        str(i),
        f"{name} sold {a} {thing} in {month} and {b} more {thing} in {other}. How many {thing} did {name} "
        f"{verb} in both months, and what did the {place} pay?",
        f"{name} sold {a} + {b} = {a + b} {thing} to the {place}.",
        str(a + b),
    )
    for i, (name, a, thing, month, b, other, verb, place) in enumerate(
        [
            ("Natalia", 48, "clips", "April", 24, "May", "sell", "bazaar"),
            ("Weng", 137, "lanterns", "June", 58, "July", "deliver", "temple"),
            ("Betty", 91, "wallets", "March", 17, "August", "stitch", "boutique"),
            ("Julie", 212, "pages", "October", 33, "November", "print", "publisher"),
            ("Marek", 64, "barrels", "December", 79, "January", "haul", "brewery"),
        ]
    )
] + [
    Example(f"c{i}", text, "x", str(i))
    for i, text in enumerate(
        [
            "A train leaves the station at noon and reaches the coast after a long ride.",
            "Which of the following metals melts first when heated in an open furnace?",
            "Describe how a glacier forms a valley, and what it leaves behind.",
        ]
    )
]


def kind_of(prompt, completion="Let me think.", answer=None, train=TRAIN):
    """The kind of one problem against the training data, and the id it was found as."""
    left = [Example("v", prompt, completion, answer)]
    words = read_sets([left, train])
    found = find_overlap(*words, [answer], [e.answer for e in train]).rows()
    return (None, None) if not found else (found[0][2], train[found[0][1]].id)


def test_a_copy_is_found_whatever_its_case_and_punctuation():
    assert kind_of(TRAIN[0].prompt.upper().replace("?", " ?!")) == ("copy", "0")


def test_other_words_with_the_same_numbers_are_a_rewording():
    reworded = (
        "In April Natalia sold 48 clips; then she sold 24 additional clips in May. What number of clips did "
        "Natalia sell over both months, and how much was the bazaar charged?"
    )
    assert kind_of(reworded, answer="72.0") == ("reworded", "0")
    # With another answer it is another question on one story.
    assert kind_of(reworded, answer="7")[0] != "reworded"


def test_other_signs_are_one_problem_only_where_an_answer_tells_so():
    train = [*TRAIN, Example("sign", "Is A | B true?", "t", "yes"), Example("sum", "2 + 3 * 4?", "t", "14")]
    assert kind_of("Is A & B true?", "v", "yes", train) == ("renumbered", "sign")
    assert kind_of("(2 + 3) * 4?", "v", "20", train) == ("renumbered", "sum")
    assert kind_of("2 + (3 * 4)?", "v", "14", train) == ("reworded", "sum")


def test_a_problem_within_a_longer_text_is_found_and_a_question_on_a_shared_passage_is_not():
    words = load_examples("facts:train[:300]").examples
    longer = Example("long", "", f"Question: {TRAIN[0].prompt}\nAnswer: {TRAIN[0].completion}")
    assert kind_of(TRAIN[0].prompt, "v", None, [*words, longer]) == ("reworded", "long")
    passage = (
        "The lighthouse keeper at Skelling wrote daily of gulls, storms, passing trawlers and the slow decay "
        "of the northern stairwell, until a fire in the oil store ended his diary in the autumn."
    )
    asked = Example("other", f"{passage} Was the diary ended by a flood of the harbour?", "No.", "no")
    found = kind_of(f"{passage} Did the keeper mention trawlers and decay?", "So.", "no", [*words, asked])
    assert found[0] in (None, "renumbered")


def test_rows_that_training_repeats_hide_no_rewording():
    reworded = (
        "In April Natalia sold 48 clips; then she sold 24 additional clips in May. What number of clips did "
        "Natalia sell over both months, and how much was the bazaar charged?"
    )
    assert kind_of(reworded, answer="72", train=TRAIN * 80)[0] == "reworded"


def test_numbers_that_all_problems_have_pair_none_of_them():
    rng = np.random.default_rng(0)
    names = ["".join(chr(97 + c) for c in rng.integers(0, 26, 6)) for _ in range(3000)]
    rows = [Example(str(i), f"{name}? (1) (2) (3) (4)", "x") for i, name in enumerate(names)]
    left, right = read_sets([rows[:500], rows[500:]])
    numbers = (left.asked_signatures, right.asked_signatures)
    assert _candidates([], [numbers]).height == 0


def test_other_numbers_in_the_same_words_are_renumbered_with_another_name_too():
    assert kind_of(TRAIN[1].prompt.replace("137", "29").replace("Weng", "Otto")) == ("renumbered", "1")


def test_the_same_worked_solution_is_a_rewording_and_a_bare_number_is_none():
    train = [*TRAIN, *load_examples("knights:train[:300]").examples]
    assert kind_of("Wie viele waren es?", TRAIN[2].completion, None, train) == ("reworded", "2")
    assert (
        kind_of("Wie viele waren es?", "108", "108", [*train, Example("n", "Why?", "108", "108")])[0] is None
    )


def test_a_problem_in_another_language_is_found_by_its_figures():
    solution = "Julie druckte 212 + 33 = 245 Seiten; 245 - 33 = 212, und 33 / 3 = 11, 212 / 4 = 53."
    train = [*TRAIN, Example("t", "Julie printed 212 pages, then 33.", solution, "245")]
    foreign = "Julie a imprim\u00e9 212 feuilles, puis 33."
    found = kind_of(foreign, solution.replace("druckte", "a fait").replace("Seiten", "pages"), "245", train)
    assert found == ("reworded", "t")


def test_a_problem_of_its_own_is_nothing():
    assert kind_of("Omar plants 15 trees and 6 of them die. How many are alive?") == (None, None)
    assert kind_of("What is this?") == (None, None)


def test_a_pair_is_weighed_as_by_hand():
    left = [Example("l", "red red cat 5", "a")]
    right = [Example("r", "red dog 5", "b"), Example("s", "owl", "c")]
    words = read_sets([left, right])
    (row,) = similar_pairs(*words).rows(named=True)
    # Of the three problems: red is there 3 times and so no evidence, 5 twice, cat and dog once.
    two, one = math.log2(3 / 2), math.log2(3)
    assert row["alike"] == pytest.approx(2 * two / (2 * two + 2 * one))
    assert row["bits"] == pytest.approx(two) and row["same_numbers"] and row["numbers"] == 1


def test_rarity_is_minus_log2_of_the_share():
    sides = pl.DataFrame({"item": [1, 2]}), pl.DataFrame({"item": [1, 1, 3]})
    found = {item: (bits, others) for item, bits, others in word_bits(sides, 12).rows()}
    assert found[1] == (pytest.approx(2.0), 2) and found[2] == (pytest.approx(math.log2(12)), 0)
    assert found[3][1] == 1


@pytest.mark.parametrize("task", ["wordmath", "knights", "facts", "pocketcode"])
def test_a_procedural_tasks_own_templates_are_no_leaks(task):
    val, train = load_examples(f"{task}:val[:500]").examples, load_examples(f"{task}:train[:2000]").examples
    found = find_overlap(*read_sets([val, train]), [e.answer for e in val], [e.answer for e in train])
    assert found.filter(pl.col("kind") != "renumbered").height <= 0.01 * len(val)
    assert "copy" not in found["kind"]


def test_of_planted_leaks_most_are_found(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from planted_leaks import EXPECTED, RULES, plant

    train = list(load_examples("wordmath:train[:1500]").examples)
    planted = plant(train, 25, seed=1)
    leaks = [leak for _, leak, _ in planted]
    found = find_overlap(*read_sets([leaks, train]), [e.answer for e in leaks], [e.answer for e in train])
    kinds = dict(found.select("left", "kind").rows())
    hits = {rule: 0 for rule in RULES}
    for at, (rule, _, _) in enumerate(planted):
        hits[rule] += kinds.get(at) in EXPECTED[rule]
    assert (hits["copy"], hits["renumber"]) == (25, 25) and hits["reword"] >= 13
