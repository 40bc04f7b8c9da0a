"""`pocketcode`: problems of code with their tests."""

from __future__ import annotations

import hashlib
import random

import pytest

from overmem.errors import DataError
from overmem.synthetic import pocketcode
from overmem.synthetic.pocketcode.splits import TASK
from overmem.tasks import load_examples
from tests.helpers.code import right, sandboxed
from tests.helpers.splits import first_examples


@pytest.fixture(scope="module")
def splits():
    """The first problems of each split."""
    return first_examples(TASK, train=1000, other=300)


def test_every_solution_of_pocketcode_passes_its_tests(splits):
    """By Python itself; the tests' results come from another place than the solutions."""
    for examples in splits.values():
        for example in examples:
            exec(example.prompt + example.completion + example.meta["tests"], {})


@sandboxed
def test_solutions_of_pocketcode_pass_in_the_sandbox_too(splits):
    for examples in splits.values():
        assert right(examples[0].completion, examples[0])
    a, b = load_examples("pocketcode:ood_phrasing[:2]").examples
    assert [a, b] == splits["ood_phrasing"][:2]
    assert right(f"```python\n{b.prompt}{b.completion}```", b)
    assert not right("    return 12345\n", a) and not right(a.completion, b)


def test_no_problem_of_pocketcode_is_in_two_splits(splits):
    """Whatever words it is told in: by the operations and the results that its tests ask for."""
    seen: dict[tuple, str] = {}
    for name, examples in splits.items():
        for example in examples:
            digits = "".join(c for c in example.prompt if c.isdigit())
            key = (example.meta["operations"], digits.replace("0", ""))
            assert seen.setdefault(key, name) == name
    trained = {e.prompt for e in splits["train"]}
    assert not trained & {e.prompt for name in splits if name != "train" for e in splits[name]}


def test_ood_splits_of_pocketcode_differ_in_the_way_they_say(splits):
    from overmem.synthetic.pocketcode.steps import UNSEEN_STEPS

    assert {e.meta["n_steps"] for e in splits["val"]} == {1, 2}
    assert {e.meta["n_steps"] for e in splits["ood_depth"]} == {3}
    assert all(set(UNSEEN_STEPS) & set(e.meta["operations"]) for e in splits["ood_operations"])
    assert not any(set(UNSEEN_STEPS) & set(e.meta["operations"]) for e in splits["train"])
    trained = " ".join(e.prompt for e in splits["train"]).lower()
    assert all("give back" in e.prompt.lower() for e in splits["ood_phrasing"]) and "give back" not in trained


def test_a_problem_of_pocketcode_has_many_solutions():
    problem = pocketcode.Problem((("even", 0), ("square", 0)), "sum")
    written = {
        pocketcode.write_solution(problem, form, random.Random(seed))
        for form in pocketcode.FORMS
        for seed in range(30)
    }
    assert len(written) > 60
    for body in written:
        made: dict = {}
        exec("def solve(values):\n" + body, made)
        assert made["solve"]([]) == 0 and made["solve"]([1, 2, -4, 7]) == 20


DIGESTS = {
    "train": "f55bb9bc652c280f",
    "val": "64b2c4cd55d8317d",
    "test": "a52efb3a0d44c764",
    "ood_depth": "2925e0dde84400dc",
    "ood_operations": "5a8dcbf265bdefbf",
    "ood_phrasing": "d79a4b57ae6de21e",
}
"""Of the first texts of each split as it was first drawn, on which published figures rest."""


def test_pocketcode_is_drawn_as_it_always_was(splits):
    first, last = splits["val"][0], pocketcode.load_split("ood_phrasing")[-1]
    assert (first.id, last.id, last.answer) == ("val-0", "ood_phrasing-499", None)
    assert "Take each number 9 times, then keep the even numbers, and return the maximum" in first.prompt
    assert first.completion.endswith("    return max(values, default=0)\n") and first.meta["form"] == "lazy"
    assert "assert solve([-13, 20, -1, 2, 10]) == 180" in first.meta["tests"]
    for name, examples in splits.items():
        texts = "".join(e.prompt + e.completion + e.meta["tests"] for e in examples)
        assert hashlib.sha256(texts.encode()).hexdigest()[:16] == DIGESTS[name]
        assert [e.id for e in examples] == [f"{name}-{i}" for i in range(len(examples))]


def test_pocketcode_is_the_same_every_time(splits):
    again = pocketcode.load_split("ood_operations")
    assert again[: len(splits["ood_operations"])] == splits["ood_operations"] and len(again) == 1000
    assert TASK.sizes == {"train": 4000, "ood_phrasing": 500}
    with pytest.raises(DataError, match="ood_depth"):
        pocketcode.load_split("nope")
