"""What the organism's base model was taught before any fine-tune: sums, and problems in other formats.

As a task it holds the skills beside the one that is fine-tuned (`wordmath`), whose truth is known, so that
what a fine-tune takes away from them can be measured (`overmem.axes.retention`). The base model's corpus is
made of the same pieces (`overmem.organism.build`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from overmem.synthetic.drawn import DrawnTask, HashRange
from overmem.synthetic.wordmath.problems import LARGEST, Split, compute, make_problem
from overmem.synthetic.wordmath.solutions import word_step
from overmem.synthetic.wordmath.wording import CHANGES

GRADER = r"regex:(\d+)\s*$"
"""The whole number that an answer ends with, whatever stands before it: the skill, not its format."""
HEADERS = ("Problem", "Task", "Exercise", "Question")
SEPARATORS = ("; ", ", ", ". ", " | ")
CORPUS = Split(0, 100, changes=tuple(CHANGES), steps=(1, 2, 3, 3))
"""The problems that the base model was pretrained on."""
SUMS = "sums"


@dataclass(frozen=True)
class Skill:
    """A text that the base model can go on with."""

    asked: str
    """Up to where it goes on."""
    told: str
    """How it goes on; one of many ways, for a problem."""
    answer: int


def draw_sums(rng: random.Random) -> list[str]:
    """Six sums within the range of the task, such as `12 + 30 = 42`."""
    sums: list[str] = []
    while len(sums) < 6:
        symbol = rng.choice("++--*/")
        right = rng.randint(2, 3) if symbol in "*/" else rng.randint(1, 60)
        left = rng.randint(1, LARGEST)
        result = compute(left, symbol, right)
        if result is None:
            continue
        if symbol in "+*" and rng.random() < 0.5:
            left, right = right, left
        sums.append(f"{left} {symbol} {right} = {result}")
    return sums


def draw_problem(rng: random.Random, split: Split = CORPUS) -> Skill:
    """A problem in one of several formats, none of them the task's: the skill that fine-tuning builds on.

    Many formats matter: a model that has seen one ties its arithmetic to that format and does not
    carry it over to another.
    """
    problem = None
    while problem is None or not problem.steps:
        problem = make_problem(rng, split)
    if rng.random() < 0.65:
        body, told = (
            "Solution:",
            " ".join(
                word_step(problem.steps[index], problem.items, position, rng)
                for position, index in enumerate(rng.choice(problem.orders))
            ),
        )
    else:
        separator = rng.choice(SEPARATORS)
        body, told = (
            "Work:",
            separator.join(f"{s.left} {s.symbol} {s.right} = {s.result}" for s in problem.steps),
        )
    asked = f"{rng.choice(HEADERS)}: {problem.question}\n{body}"
    return Skill(asked, f" {told}\nResult: {problem.answer}", problem.answer)


def _draw(rng: random.Random, split: _Skills) -> Skill | None:
    if split.kind == SUMS:
        *before, last = draw_sums(rng)
        asked, _, result = last.rpartition(" ")
        return Skill(f"Sums: {'; '.join([*before, asked])}", f" {result}", int(result))
    return draw_problem(rng, Split(split.low, split.high, changes=tuple(CHANGES), steps=(1, 2)))


@dataclass(frozen=True)
class _Skills(HashRange):
    kind: str


TASK = DrawnTask(
    name="pretrained",
    splits={SUMS: _Skills(0, 100, SUMS), "problems": _Skills(0, 100, "problems")},
    draw=_draw,
    key=lambda skill: skill.asked,
    write_prompt=lambda skill: skill.asked,
    write_solution=lambda skill, rng: skill.told,
    answer=lambda skill: str(skill.answer),
    describe=lambda skill: {},
)
load_split = TASK.load_split
