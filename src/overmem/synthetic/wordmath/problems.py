"""A problem of `wordmath`: a small story about quantities, drawn at random, with the steps that solve it."""

from __future__ import annotations

import random
from dataclasses import dataclass

from overmem.synthetic.drawn import HashRange
from overmem.synthetic.wordmath.wording import (
    BOTH,
    CHANGES,
    COMPARISONS,
    ITEMS,
    NAMES,
    TRAINED_CHANGES,
    Operation,
)

LARGEST = 99
"""Largest quantity in any problem: arithmetic stays in a range that the base model knows."""


@dataclass(frozen=True)
class Step:
    """One line of arithmetic: `left symbol right = result`, told about `subject`."""

    subject: str
    left: int
    symbol: str
    right: int
    result: int


@dataclass(frozen=True)
class Problem:
    """A question and the arithmetic that answers it."""

    question: str
    items: str
    steps: tuple[Step, ...]
    orders: tuple[tuple[int, ...], ...]
    """Valid orders in which the steps can be told, as indices into `steps`."""
    operations: tuple[str, ...]

    @property
    def answer(self) -> int:
        """The result of the last step."""
        return self.steps[-1].result


def compute(left: int, symbol: str, right: int) -> int | None:
    """The result when it is a whole number in 1..LARGEST, else None."""
    if symbol == "/":
        result = left // right if left % right == 0 else 0
    else:
        result = {"+": left + right, "-": left - right, "*": left * right}[symbol]
    return result if 1 <= result <= LARGEST else None


@dataclass(frozen=True)
class Split(HashRange):
    """Which problems a split holds."""

    changes: tuple[str, ...] = TRAINED_CHANGES
    required: tuple[str, ...] = ()
    """At least one of these operations occurs, when given."""
    steps: tuple[int, ...] = (1, 2)
    unseen_phrasing: bool = False


def make_problem(rng: random.Random, split: Split) -> Problem | None:
    """Draw one problem, or None when the draw falls outside the split or the number range."""
    problem = draw_problem(rng, split)
    return problem if problem is not None and split.may_hold(problem.question) else None


def draw_problem(rng: random.Random, split: Split) -> Problem | None:
    """Draw one problem with the split's operations, whichever split its hash belongs to."""
    shape = rng.choice((_chain, _two_people, _comparison))
    problem = shape(rng, split)
    if problem is None:
        return None
    return problem if not split.required or set(split.required) & set(problem.operations) else None


def _chain(rng: random.Random, split: Split) -> Problem | None:
    """One person, every step changes what the last one left: a single valid order."""
    subject, items = rng.choice(NAMES), rng.choice(ITEMS)
    start = rng.randint(4, 50)
    told = _change(subject, items, start, rng.choice(split.steps), rng, split)
    if told is None:
        return None
    sentences, steps, operations = told
    question = " ".join(
        [f"{subject} has {start} {items}.", *sentences, f"How many {items} does {subject} have now?"]
    )
    return Problem(question, items, tuple(steps), (tuple(range(len(steps))),), operations)


def _two_people(rng: random.Random, split: Split) -> Problem | None:
    """Two people whose quantities change apart and are added: either may be told first."""
    (first, second), items = rng.sample(NAMES, 2), rng.choice(ITEMS)
    changes = max(0, rng.choice(split.steps) - 1)
    n_first = (changes + 1) // 2
    starts = rng.randint(4, 40), rng.randint(4, 40)
    told_first = _change(first, items, starts[0], n_first, rng, split)
    told_second = _change(second, items, starts[1], changes - n_first, rng, split)
    if told_first is None or told_second is None:
        return None
    steps = [*told_first[1], *told_second[1]]
    total = _add_up(_last(told_first[1], starts[0]), _last(told_second[1], starts[1]))
    if total is None:
        return None
    question = " ".join(
        [
            f"{first} has {starts[0]} {items}.",
            f"{second} has {starts[1]} {items}.",
            *told_first[0],
            *told_second[0],
            f"How many {items} do they have together?",
        ]
    )
    ids = range(len(steps))
    orders = ((*ids, len(steps)), (*ids[n_first:], *ids[:n_first], len(steps)))
    return Problem(question, items, (*steps, total), orders, (*told_first[2], *told_second[2], "total"))


def _comparison(rng: random.Random, split: Split) -> Problem | None:
    """A second person is described by the first, changes, and both are added: one valid order."""
    (first, second), items = rng.sample(NAMES, 2), rng.choice(ITEMS)
    start = rng.randint(4, 40)
    relation = COMPARISONS[rng.choice(tuple(COMPARISONS))]
    compared = _apply(relation, second, start, rng)
    if compared is None:
        return None
    told = _change(second, items, compared.result, max(0, rng.choice(split.steps) - 2), rng, split)
    if told is None:
        return None
    sentences, steps, operations = told
    total = _add_up(start, _last(steps, compared.result))
    if total is None:
        return None
    sentence = _phrase(relation, rng, split.unseen_phrasing).format(
        s=first, t=second, k=compared.right, items=items
    )
    question = " ".join(
        [
            f"{first} has {start} {items}.",
            sentence,
            *sentences,
            f"How many {items} do they have together?",
        ]
    )
    all_steps = (compared, *steps, total)
    return Problem(
        question, items, all_steps, (tuple(range(len(all_steps))),), (relation.name, *operations, "total")
    )


def _last(steps: list[Step], start: int) -> int:
    return steps[-1].result if steps else start


def _add_up(left: int, right: int) -> Step | None:
    result = compute(left, "+", right)
    return None if result is None else Step(BOTH, left, "+", right, result)


def _change(
    subject: str, items: str, start: int, n_steps: int, rng: random.Random, split: Split
) -> tuple[list[str], list[Step], tuple[str, ...]] | None:
    """Sentences, steps and operation names of `n_steps` changes in a row; None out of range."""
    sentences: list[str] = []
    steps: list[Step] = []
    names: list[str] = []
    for _ in range(n_steps):
        op = CHANGES[rng.choice(split.changes)]
        step = _apply(op, subject, _last(steps, start), rng)
        if step is None:
            return None
        phrase = _phrase(op, rng, split.unseen_phrasing)
        sentences.append(phrase.format(s=subject, k=step.right, items=items))
        steps.append(step)
        names.append(op.name)
    return sentences, steps, tuple(names)


def _phrase(op: Operation, rng: random.Random, unseen: bool) -> str:
    return rng.choice(op.unseen_phrasings if unseen and op.unseen_phrasings else op.phrasings)


def _apply(op: Operation, subject: str, left: int, rng: random.Random) -> Step | None:
    right = op.factor if op.factor is not None else rng.randint(2, 30)
    result = compute(left, op.symbol, right)
    return None if result is None else Step(subject, left, op.symbol, right, result)
