"""`wordmath`: every solution is true, and no problem is in two splits.

Covers: overmem.synthetic.wordmath.problems, overmem.synthetic.wordmath.renumber,
overmem.synthetic.wordmath.solutions, overmem.synthetic.wordmath.splits, overmem.synthetic.wordmath.wording
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import replace

import pytest

from overmem.errors import DataError
from overmem.grading.grade import grade
from overmem.perturbations import perturb
from overmem.synthetic import wordmath
from overmem.synthetic.wordmath.splits import TASK
from tests.helpers.splits import first_examples
from tests.helpers.wordmath import solve


@pytest.fixture(scope="module")
def splits():
    """All of train and val, on which the docs rest, and the first problems of the others."""
    return first_examples(TASK, train=8000) | {"val": wordmath.load_split("val")}


@pytest.fixture(scope="module")
def other_hand():
    return wordmath.load_split(wordmath.VAL_OTHER_STYLE)


def equations(text):
    return re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", text)


def test_every_line_of_every_solution_is_true(splits, other_hand):
    for examples in (*splits.values(), other_hand):
        for example in examples:
            lines = equations(example.completion)
            assert len(lines) == example.meta["n_steps"]
            for left, symbol, right, result in lines:
                exact = eval(f"{left} {symbol} {right}")
                assert exact == int(result) and 1 <= exact <= wordmath.LARGEST
            assert example.completion.endswith(f"#### {lines[-1][3]}")
            assert example.answer == lines[-1][3]


def test_only_a_whole_number_is_the_answer(splits):
    example = next(x for examples in splits.values() for x in examples if len(x.answer) == 2)
    number = example.answer
    right = (f"#### {number}", f"So #### {number}.", f"#### {number}\n")
    wrong = (f"#### {number}.5", f"#### {number},000", f"#### {number}1", f"#### -{number}", number)
    assert all(grade(text, example, wordmath.GRADER).correct for text in right)
    assert not any(grade(text, example, wordmath.GRADER).correct for text in wrong)


def test_no_question_is_in_two_splits(splits):
    questions = [example.prompt for examples in splits.values() for example in examples]
    assert len(set(questions)) == len(questions)


def test_another_hand_solves_the_problems_of_val_in_sentences_that_training_never_shows(splits, other_hand):
    asked = [(e.id, e.prompt, e.answer, e.meta) for e in other_hand]
    assert asked == [(e.id, e.prompt, e.answer, e.meta) for e in splits["val"]]

    def sentences(examples):
        """Their wordings, without names, things and numbers, which are any hand's."""
        told = re.compile(rf"\b({'|'.join((*wordmath.NAMES, *wordmath.ITEMS))}|[-+*/]|\d+)(?!\w)")
        bodies = (e.completion.partition("\n")[0] for e in examples)
        return {re.sub(r" . ", " + ", told.sub("_", s)) for body in bodies for s in body.split(".") if s}

    assert not sentences(other_hand) & sentences(splits["train"])
    assert len(sentences(other_hand)) > 20


def test_ood_splits_differ_in_the_way_they_say(splits):
    assert {e.meta["n_steps"] for e in splits["val"]} == {1, 2}
    assert {e.meta["n_steps"] for e in splits["ood_steps"]} == {3, 4}
    unseen = set(wordmath.UNSEEN_CHANGES)
    assert all(unseen & set(e.meta["operations"]) for e in splits["ood_operations"])
    assert not any(unseen & set(e.meta["operations"]) for e in splits["train"])
    assert "picks up" not in " ".join(e.prompt for e in splits["train"])
    assert "picks up" in " ".join(e.prompt for e in splits["ood_phrasing"])


def test_a_problem_has_many_solutions_and_more_than_one_order():
    rng = random.Random(0)
    problems = filter(None, (wordmath.make_problem(rng, wordmath.SPLITS["ood_steps"]) for _ in range(900)))
    problem = next(p for p in problems if len(p.orders) > 1)
    solutions = [wordmath.write_solution(problem, random.Random(i)) for i in range(50)]
    orders = {tuple(e[3] for e in equations(s)) for s in solutions}
    assert len(set(solutions)) > 45
    assert len(orders) == 2
    assert {o[-1] for o in orders} == {str(problem.answer)}


def test_splits_are_the_same_every_time(splits):
    assert wordmath.load_split("val") == splits["val"] and len(splits["val"]) == 1000
    test = wordmath.load_split("test")
    assert test[: len(splits["test"])] == splits["test"] and len(test) == 1000
    assert TASK.sizes == {"train": 8000}


def test_an_unknown_split_lists_the_known():
    with pytest.raises(DataError, match="ood_steps"):
        wordmath.load_split("dev")


def test_the_splits_are_those_that_the_docs_rest_on(splits):
    # Figures in the docs and the bundled model rest on these very texts.
    pinned = {
        "train": "9eab6f7dc04868d693df08212e6b98f55e9fd971c970b66691c1936583aab4e4",
        "val": "8f39324a84e899f4aa0869ba882abdc914d0a5f913472a9be328ef882cd2af90",
    }
    for name, digest in pinned.items():
        joined = "\x00".join(f"{example.prompt}\x01{example.completion}" for example in splits[name][:4000])
        assert hashlib.sha256(joined.encode()).hexdigest() == digest


def without_numbers(text):
    return re.sub(r"\d+", "#", text)


@pytest.mark.parametrize("split", list(wordmath.SPLITS))
def test_new_numbers_have_a_new_right_answer_in_the_same_words(split, splits):
    training = {example.prompt for example in splits["train"]}
    found = 0
    for old in splits[split][:200]:
        assert solve(old.prompt) == int(old.answer)  # the parser itself
        new = perturb(old, "numbers", seed=0)
        if new is None:
            continue
        found += 1
        assert (new.id, new.meta) == (old.id, old.meta)
        assert without_numbers(new.prompt) == without_numbers(old.prompt)
        assert without_numbers(new.completion) == without_numbers(old.completion)
        assert new.prompt not in training and new.answer != old.answer
        assert solve(new.prompt) == int(new.answer)
        lines = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", new.completion)
        assert len(lines) == old.meta["n_steps"]
        assert all(eval(f"{a} {symbol} {b} == {c}") for a, symbol, b, c in lines)
        assert new.completion.endswith(f"\n#### {new.answer}") and lines[-1][3] == new.answer
    assert found >= 198


def test_numbers_need_a_problem_as_it_was_drawn(splits):
    old = splits["val"][0]
    for changed in (
        replace(old, prompt=old.prompt.replace("Max", "Tom")),  # not what its draw gives
        replace(old, meta={}),
        replace(old, meta={"draw": "second card"}),  # a user's field of the same name
        replace(old, prompt=({"role": "user", "content": old.prompt},)),
    ):
        assert perturb(changed, "numbers", 0) is None
        assert perturb(changed, "preamble", 0).prompt != changed.prompt
