"""A problem of `pocketcode`: what a function does to a list of numbers, in words, in code and as tests."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from overmem.synthetic.drawn import HashRange
from overmem.synthetic.pocketcode.steps import ENDS, STEPS, UNSEEN_STEPS, Step

GRADER = "code"
ENTRY_POINT = "solve"
ALL_STEPS = STEPS | UNSEEN_STEPS
FORMS = ("loop", "lines", "lazy", "nested")
"""Ways to write a solution."""
_NAMES = ("x", "n", "v", "number", "item", "value")
_N_TESTS = 6


@dataclass(frozen=True)
class Split(HashRange):
    """Which problems a split holds, and how they are made."""

    names: tuple[str, ...] = tuple(STEPS)
    required: tuple[str, ...] = ()
    """At least one of these steps occurs, when given."""
    depths: tuple[int, ...] = (1, 2, 2, 2)
    """Numbers of steps, each as likely as it is often named."""
    unseen_phrasing: bool = False


@dataclass(frozen=True)
class Problem:
    """Steps in order, each with its constant, and the end."""

    steps: tuple[tuple[str, int], ...]
    end: str

    @property
    def key(self) -> str:
        """What is done, however it is said."""
        return repr((self.steps, self.end))

    def solve(self, values: Sequence[int]) -> Any:
        """The right result, by the meaning of each step."""
        left = list(values)
        for name, k in self.steps:
            step = ALL_STEPS[name]
            left = (
                [x for x in left if step.meaning(x, k)] if step.keeps else [step.meaning(x, k) for x in left]
            )
        return ENDS[self.end].meaning(left)


@dataclass(frozen=True)
class PosedProblem:
    """A problem as it is put to a model."""

    problem: Problem
    prompt: str
    tests: str
    form: str
    """Of the reference solution, one of `FORMS`."""


def draw_problem(rng: random.Random, split: Split) -> PosedProblem | None:
    """Draw one problem, in which no step stands twice, or None when the draw falls outside the split."""
    chosen = rng.sample(split.names, rng.choice(split.depths))
    steps = tuple((name, rng.choice(ALL_STEPS[name].constants)) for name in chosen)
    problem = Problem(steps, rng.choice(list(ENDS)))
    if split.required and not set(chosen) & set(split.required):
        return None
    if not split.may_hold(problem.key):  # before the tests, which take most of the time
        return None
    tests = write_tests(problem, rng)
    if tests is None:
        return None
    prompt = write_prompt(problem, rng, split.unseen_phrasing)
    return PosedProblem(problem, prompt, tests, rng.choice(FORMS))


def write_prompt(problem: Problem, rng: random.Random, unseen_phrasing: bool) -> str:
    """Head and docstring of the function; its body follows."""
    end = ENDS[problem.end]
    parts = [
        (step.unseen if unseen_phrasing else rng.choice(step.said)).format(k=k)
        for step, k in ((ALL_STEPS[name], k) for name, k in problem.steps)
    ]
    told = f"{', then '.join(parts)}, and {end.unseen if unseen_phrasing else rng.choice(end.said)}."
    return f'def {ENTRY_POINT}(values):\n    """{told[0].upper()}{told[1:]}"""\n'


def write_solution(problem: Problem, form: str, rng: random.Random) -> str:
    """One valid body of the function.

    Args:
        problem: what it does.
        form: one of `FORMS`.
        rng: chooses between equivalent expressions and names.
    """
    x = rng.choice(_NAMES)
    steps = [
        (ALL_STEPS[name], rng.choice(ALL_STEPS[name].code).format(x=x, k=k)) for name, k in problem.steps
    ]
    write = {"loop": _loop, "lines": _lines, "lazy": _lazy, "nested": _nested}[form]
    return "".join(f"    {line}\n" for line in write(steps, problem.end, x))


def write_tests(problem: Problem, rng: random.Random) -> str | None:
    """Asserts on the empty list and on random ones; None when hardly anything hangs on the numbers."""
    inputs = [[], *([rng.randint(-20, 20) for _ in range(rng.randint(4, 9))] for _ in range(_N_TESTS - 1))]
    results = [problem.solve(values) for values in inputs]
    if len(set(map(repr, results))) < _N_TESTS // 2:
        return None
    return "".join(f"assert {ENTRY_POINT}({v}) == {r}\n" for v, r in zip(inputs, results, strict=True))


def _loop(steps: list[tuple[Step, str]], end: str, x: str) -> list[str]:
    close, lines = ENDS[end], []
    for step, code in steps:
        lines += [f"    if not ({code}):", "        continue"] if step.keeps else [f"    {x} = {code}"]
    result = "result" if close.start == "0" else close.code.format(v="result")
    return [
        f"result = {close.start}",
        f"for {x} in values:",
        *lines,
        f"    {close.add.format(x=x)}",
        f"return {result}",
    ]


def _lines(steps: list[tuple[Step, str]], end: str, x: str) -> list[str]:
    return [
        *(f"values = {_comprehension(step, code, x, 'values')}" for step, code in steps),
        f"return {ENDS[end].code.format(v='values')}",
    ]


def _lazy(steps: list[tuple[Step, str]], end: str, x: str) -> list[str]:
    return [
        *(
            f"values = {'filter' if step.keeps else 'map'}(lambda {x}: {code}, values)"
            for step, code in steps
        ),
        f"return {ENDS[end].lazy.format(v='values')}",
    ]


def _nested(steps: list[tuple[Step, str]], end: str, x: str) -> list[str]:
    inner = "values"
    for step, code in steps:
        inner = _comprehension(step, code, x, inner)
    return [f"return {ENDS[end].code.format(v=inner)}"]


def _comprehension(step: Step, code: str, x: str, inner: str) -> str:
    return f"[{x} for {x} in {inner} if {code}]" if step.keeps else f"[{code} for {x} in {inner}]"
