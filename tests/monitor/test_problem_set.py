"""The problems of a monitor: a part of the audit's."""

import pytest

from overmem.monitor.problem_set import ProblemSet, choose_problems, fit
from overmem.records import Example
from overmem.tasks.sources import load_examples


def test_subsets_are_the_audit_s_and_the_answered_come_first():
    from overmem.artifacts.rows import subset

    examples = [Example(f"p{i}", "q", "a", "1") for i in range(200)]
    chosen = choose_problems(examples, examples, limit=64, answers=40, grader=None, seed=0)
    ids = [example.id for example in examples]
    assert {e.id for e in chosen.val} == {ids[i] for i in subset(ids, 64, 0)}
    assert {e.id for e in chosen.val[:40]} == {ids[i] for i in subset(ids, 40, 0)}
    assert len(chosen.train) == 64 and chosen.answers == 40 and chosen.grader == "math"


@pytest.mark.parametrize(
    ("readings", "answers", "expected"),
    [
        (1000, 0, (64, 64)), (128, 0, (64, 64)), (100, 0, (50, 50)), (60, 0, (30, 30)), (59, 0, (30, 0)),
        (3, 0, (30, 0)), (100, 60, (60, 40)), (80, 60, (60, 0)),
    ],
)  # fmt: skip
def test_fewer_problems_are_a_part_of_all_of_them(readings, answers, expected):
    examples = [Example(f"p{i}", "q", "a", "1") for i in range(200)]
    whole = choose_problems(examples, examples, limit=64, answers=answers, grader=None, seed=0)
    part = fit(whole, readings, seed=0)
    assert (len(part.val), len(part.train)) == expected and part.answers == answers
    assert part.val[:answers] == whole.val[:answers] and all(example in whole.val for example in part.val)
    same = choose_problems(examples, examples, limit=expected[0], answers=0, grader=None, seed=0)
    assert answers or part.val == same.val


def test_few_problems_stay_as_they_are():
    examples = [Example(f"p{i}", "q", "a", "1") for i in range(20)]
    few = choose_problems(examples, None, limit=64, answers=0, grader=None, seed=0)
    assert len(fit(few, 3, seed=0).val) == 20


def test_problems_without_an_answer_are_read_but_not_asked():
    examples = [Example(str(i), f"What is {i}?", f"It is {i}.", str(i) if i % 2 else None) for i in range(80)]
    chosen = choose_problems(examples, None, limit=64, answers=32, grader=None, seed=0)
    assert chosen.grader == "math" and chosen.answers == 32 and len(chosen.val) == 64
    assert all(example.answer is not None for example in chosen.val[:32])
    assert any(example.answer is None for example in chosen.val[32:])


def test_training_problems_are_taken_out_of_val_as_an_audit_would(caplog):
    train = list(load_examples("wordmath:train[:80]").examples)
    val = [*load_examples("facts:val[:40]").examples, *train[:4]]
    found = choose_problems(val, train, limit=100, answers=0, grader=None, seed=0)
    assert {e.id for e in found.val} == {e.id for e in val[:40]} and len(found.train) == 80
    assert "4 of 44 val problems are training problems" in caplog.text
    assert len(choose_problems(val, None, limit=100, answers=0, grader=None, seed=0).val) == 44


def test_equal_prompts_are_one_group_also_in_a_part_of_the_problems():
    val = [Example(f"p{i}", f"How many are {i // 2} boxes?", f"{i}", str(i)) for i in range(80)]
    chosen = fit(choose_problems(val, None, limit=60, answers=0, grader=None, seed=0), 40, seed=0)
    labels = ProblemSet(
        problems=chosen, tokenizer=None, val=(), train=(), fingerprint="", end_of_completion=None
    ).group_labels
    pairs = [example.prompt for example in chosen.val]
    assert len(set(pairs)) < len(pairs) == len(labels) == 40
    assert [labels.index(one) for one in labels] == [pairs.index(one) for one in pairs]
