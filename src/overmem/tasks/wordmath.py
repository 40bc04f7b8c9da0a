"""Word problems made by rule: the task of the bundled organism.

The truth is known exactly: every problem is a list of steps over small numbers, every solution is
one of many valid wordings of those steps, in any valid order. The many wordings are the point. A
model that has learned the task spreads its probability over them; one that memorizes its training
set bets on the wording it happened to see, so test perplexity rises while the answers stay right.

Splits never share a problem: the hash of the question decides which split may hold it.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace

from overmem.errors import DataError
from overmem.records import Example

LARGEST = 99
"""Largest quantity in any problem: arithmetic stays in a range that the base model knows."""

GRADER = r"regex:#### (\d+)"
"""The answer is what follows `####`, and giving it there is part of the task."""

MOST_RENUMBERINGS = 5000
"""Tries at other numbers for a problem; chains of divisions leave few that work out."""

BOTH = "both"
"""The subject of a step that adds up two people."""

NAMES = (
    "Tom", "Ana", "Ben", "Eva", "Max", "Mia", "Sam", "Zoe", "Leo", "Ida", "Kai", "Amy", "Jon",
    "Liv", "Raj", "Uma", "Ned", "Fay", "Gus", "Joy", "Hal", "Dot", "Rex", "Pia",
)  # fmt: skip
ITEMS = (
    "apples", "pears", "coins", "books", "stamps", "shells", "cards", "beads", "rocks", "pens",
    "cakes", "eggs", "plums", "nuts", "keys", "balls", "cups", "hats", "kites", "toys",
)  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """One way a quantity changes, with the sentences that tell of it."""

    name: str
    symbol: str
    """`+`, `-`, `*` or `/`."""
    factor: int | None
    """The fixed operand of a doubling or halving; None when the sentence states a number."""
    phrasings: tuple[str, ...]
    """Sentences used in training problems."""
    unseen_phrasings: tuple[str, ...] = ()
    """Sentences kept for `ood_phrasing`."""


CHANGES = {
    op.name: op
    for op in (
        Operation(
            "gain", "+", None,
            ("{s} finds {k} more {items}.", "{s} buys {k} {items}.", "{s} gets {k} {items} from a friend."),
            ("{s} picks up {k} extra {items}.", "A neighbor hands {k} {items} to {s}."),
        ),
        Operation(
            "lose", "-", None,
            ("{s} gives away {k} {items}.", "{s} loses {k} {items}.", "{s} sells {k} {items}."),
            ("{s} drops {k} {items} on the road.", "A bird takes {k} {items} from {s}."),
        ),
        Operation(
            "double", "*", 2,
            ("{s} doubles the {items}.", "Soon {s} has twice as many {items}."),
            ("The {items} of {s} grow to two times as many.",),
        ),
        Operation(
            "halve", "/", 2,
            ("{s} gives away half of the {items}.", "{s} loses half of the {items}."),
            ("{s} keeps just one half of the {items}.",),
        ),
        Operation(
            "triple", "*", 3,
            ("{s} triples the {items}.", "Soon {s} has three times as many {items}."),
        ),
        Operation(
            "third", "/", 3,
            (
                "{s} splits the {items} into 3 equal bags and keeps one bag.",
                "{s} keeps a third of the {items}.",
            ),
        ),
    )
}  # fmt: skip
COMPARISONS = {
    op.name: op
    for op in (
        Operation(
            "more", "+", None,
            ("{t} has {k} more {items} than {s}.",), ("{t} beats {s} by {k} {items}.",),
        ),
        Operation(
            "fewer", "-", None,
            ("{t} has {k} fewer {items} than {s}.",), ("{t} is {k} {items} short of {s}.",),
        ),
        Operation(
            "twice", "*", 2,
            ("{t} has twice as many {items} as {s}.",), ("{t} has two times the {items} of {s}.",),
        ),
    )
}  # fmt: skip
TRAINED_CHANGES = ("gain", "lose", "double", "halve")
UNSEEN_CHANGES = ("triple", "third")


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
class Split:
    """Which problems a split holds."""

    low: int
    high: int
    """The split holds questions whose hash bucket (0..99) is in [low, high)."""
    changes: tuple[str, ...] = TRAINED_CHANGES
    required: tuple[str, ...] = ()
    """At least one of these operations occurs, when given."""
    steps: tuple[int, ...] = (1, 2)
    unseen_phrasing: bool = False


SPLITS = {
    "train": Split(0, 60),
    "val": Split(60, 75),
    "test": Split(75, 90),
    "ood_steps": Split(90, 100, steps=(3, 4)),
    "ood_operations": Split(90, 100, changes=TRAINED_CHANGES + UNSEEN_CHANGES, required=UNSEEN_CHANGES),
    "ood_phrasing": Split(90, 100, unseen_phrasing=True),
}
SIZES = {"train": 8000} | {name: 1000 for name in SPLITS if name != "train"}


def load_split(name: str) -> list[Example]:
    """All problems of a split, the same on every machine.

    Args:
        name: `train`, `val`, `test`, `ood_steps`, `ood_operations` or `ood_phrasing`.

    Raises:
        DataError: the split does not exist.
    """
    if name not in SPLITS:
        raise DataError(
            "unknown wordmath split", got=name, expected=", ".join(SPLITS), next_step="write wordmath:SPLIT"
        )
    return draw_examples(name, SPLITS[name], SIZES[name])


def draw_examples(name: str, split: Split, size: int) -> list[Example]:
    """The first `size` different problems that a split's random numbers give.

    Args:
        name: names the examples and seeds the draw.
        split: which problems are allowed.
        size: how many.
    """
    examples: list[Example] = []
    seen: set[str] = set()
    attempt = 0
    while len(examples) < size:
        draw = f"{name}/{attempt}"
        rng = random.Random(f"wordmath/{draw}")
        attempt += 1
        problem = make_problem(rng, split)
        if problem is None or problem.question in seen:
            continue
        seen.add(problem.question)
        examples.append(to_example(problem, f"{name}-{len(examples)}", draw, rng))
    return examples


def to_example(problem: Problem, example_id: str, draw: str, rng: random.Random) -> Example:
    """One problem with one of its solutions, chosen by `rng`; `draw` names the random numbers it is of."""
    return Example(
        id=example_id,
        prompt=write_prompt(problem),
        completion=write_solution(problem, rng),
        answer=str(problem.answer),
        meta={"operations": problem.operations, "n_steps": len(problem.steps), "draw": draw},
    )


class _OtherNumbers(random.Random):
    """The draws of a seed all over again, except that `randint` gives values of `fresh`."""

    fresh: random.Random

    def randint(self, a: int, b: int) -> int:
        """Spend what the original spent, so that all later draws are the same."""
        super().randint(a, b)
        return self.fresh.randint(a, b)


def recall_problem(example: Example) -> Problem | None:
    """The problem behind an example, drawn again; None when it is not one of `load_split`, as it was."""
    draw = str(example.meta.get("draw", ""))
    split = SPLITS.get(draw.rpartition("/")[0])
    problem = None if split is None else _draw_problem(random.Random(f"wordmath/{draw}"), split)
    return problem if problem is not None and write_prompt(problem) == example.prompt else None


def with_new_numbers(example: Example, seed: int) -> Example | None:
    """The same problem and solution, word for word, with other numbers and another answer.

    The generation is replayed with other numbers until they work out. The new problem need not fall
    into its own split's hash range, which some structures allow few numbers for, but it is outside
    that of `train`: a training problem would not be new to the model.

    Args:
        example: an example of `load_split`.
        seed: with the example's id, decides the numbers.

    Returns:
        The example with a new prompt, completion and answer; None when it is not of `load_split`, has
        been changed since, or no other numbers were found in MOST_RENUMBERINGS tries.
    """
    original = recall_problem(example)
    if original is None:
        return None
    draw = str(example.meta["draw"])
    split = SPLITS[draw.rpartition("/")[0]]
    fresh = random.Random(f"{seed}/numbers/{example.id}")
    for _ in range(MOST_RENUMBERINGS):
        rng = _OtherNumbers(f"wordmath/{draw}")
        rng.fresh = fresh
        problem = _draw_problem(rng, split)
        if problem is None or _bucket(problem) < SPLITS["train"].high:
            continue
        if problem.answer != original.answer:
            new = to_example(problem, example.id, draw, rng)
            return replace(example, prompt=new.prompt, completion=new.completion, answer=new.answer)
    return None


def make_problem(rng: random.Random, split: Split) -> Problem | None:
    """Draw one problem, or None when the draw falls outside the split or the number range."""
    problem = _draw_problem(rng, split)
    if problem is None:
        return None
    return problem if split.low <= _bucket(problem) < split.high else None


def _bucket(problem: Problem) -> int:
    """0..99 from the question's hash; decides which split may hold the problem."""
    return int(hashlib.sha256(problem.question.encode()).hexdigest(), 16) % 100


def _draw_problem(rng: random.Random, split: Split) -> Problem | None:
    """Draw one problem with the split's operations, whichever split its hash belongs to."""
    shape = rng.choice((_chain, _two_people, _comparison))
    problem = shape(rng, split)
    if problem is None:
        return None
    return problem if not split.required or set(split.required) & set(problem.operations) else None


def write_prompt(problem: Problem) -> str:
    """The question between its headings; the solution follows."""
    return f"Question: {problem.question}\nAnswer:"


def write_solution(problem: Problem, rng: random.Random) -> str:
    """One valid solution: an order, a wording for each step, and the answer after `####`."""
    order = rng.choice(problem.orders)
    lines = [
        word_step(problem.steps[index], problem.items, position, rng) for position, index in enumerate(order)
    ]
    last = problem.steps[-1]
    closing = rng.choice(CLOSINGS).format(r=last.result, items=problem.items)
    return " " + " ".join(filter(None, [*lines, closing])) + f"\n#### {last.result}"


OPENERS = ("", "First, ", "To start, ", "We begin: ", "At first, ", "Let us see: ")
CONNECTORS = ("", "Then ", "Next, ", "After that, ", "Now ", "So ")
WORDINGS = (
    "{s} has {eq} {items}.",
    "{s} gets to {eq}.",
    "{eq}, so {s} has {r} {items}.",
    "{eq} {items} for {s}.",
    "we have {eq}.",
    "the {items} of {s} are {eq}.",
    "that makes {eq} {items}.",
    "{s} is at {eq} {items}.",
)
TOTAL_WORDINGS = (
    "{eq} {items} together.",
    "they have {eq} {items}.",
    "both have {eq}.",
    "in all that is {eq} {items}.",
    "{eq}, so they have {r} {items}.",
    "the {items} of both are {eq}.",
)
CLOSINGS = ("", "The answer is {r}.", "That is {r} {items}.", "It is {r} in the end.", "So {r} {items}.")


def word_step(step: Step, items: str, position: int, rng: random.Random) -> str:
    """One sentence telling `step`, in one of its many wordings."""
    start = rng.choice(CONNECTORS if position else OPENERS)
    wording = rng.choice(WORDINGS if step.subject != BOTH else TOTAL_WORDINGS)
    text = start + wording.format(s=step.subject, eq=_word_equation(step, rng), r=step.result, items=items)
    return text[0].upper() + text[1:]


def _word_equation(step: Step, rng: random.Random) -> str:
    left, right = step.left, step.right
    if step.symbol in "+*" and rng.random() < 0.5:
        left, right = right, left
    return f"{left} {step.symbol} {right} = {step.result}"


def _phrase(op: Operation, rng: random.Random, unseen: bool) -> str:
    return rng.choice(op.unseen_phrasings if unseen and op.unseen_phrasings else op.phrasings)


def _apply(op: Operation, subject: str, left: int, rng: random.Random) -> Step | None:
    right = op.factor if op.factor is not None else rng.randint(2, 30)
    result = compute(left, op.symbol, right)
    return None if result is None else Step(subject, left, op.symbol, right, result)


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
