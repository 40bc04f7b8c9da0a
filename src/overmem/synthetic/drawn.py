"""Examples made by rule: drawn at random, the same on every machine, in splits that share no problem.

What the procedural tasks have in common. A task says how a problem is drawn and written; this module
says which split may hold it, and finds the problem behind an example again.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from overmem.errors import DataError
from overmem.records import Example

SIZES = {"train": 8000}
OTHER_SIZE = 1000


@dataclass(frozen=True)
class HashRange:
    """A split holds the problems whose hash bucket (0..99) is in [low, high)."""

    low: int
    high: int

    def may_hold(self, key: str) -> bool:
        """Whether the problem of a key falls into the split."""
        return self.low <= hash_bucket(key) < self.high


S = TypeVar("S", bound=HashRange)
P = TypeVar("P")


def hash_bucket(key: str) -> int:
    """0..99 from a problem's key; decides which split may hold the problem."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % 100


@dataclass(frozen=True, kw_only=True)
class DrawnTask(Generic[S, P]):
    """How a procedural task makes its examples."""

    name: str
    """The task's name, which seeds every draw."""
    splits: Mapping[str, S]
    """Which problems each split holds; two splits share buckets only where their problems differ in kind."""
    draw: Callable[[random.Random, S], P | None]
    """Draw one problem, or None when the draw does not work out."""
    key: Callable[[P], str]
    """Equal for two problems that count as the same."""
    write_prompt: Callable[[P], str]
    write_solution: Callable[[P, random.Random], str]
    answer: Callable[[P], str | None]
    describe: Callable[[P], dict[str, object]]
    """Metadata of an example."""
    sizes: Mapping[str, int] = field(default_factory=lambda: SIZES)
    """Problems of each split that has another number than `OTHER_SIZE`."""
    also: tuple[str, ...] = ()
    """Splits that the task makes of these itself; named where a split is not known."""
    _drawn: dict[str, tuple[Example, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """The longest beginning of each split that was drawn: a whole split takes a second or two."""

    def load_split(self, name: str, first: int | None = None) -> list[Example]:
        """The problems of a split, the same on every machine.

        Args:
            name: the split.
            first: how many from its start are wanted, the others are not drawn; None for all.

        Raises:
            DataError: the split does not exist.
        """
        if name not in self.splits:
            raise DataError(
                f"unknown {self.name} split",
                got=name,
                expected=", ".join((*self.splits, *self.also)),
                next_step=f"write {self.name}:SPLIT",
            )
        whole = self.sizes.get(name, OTHER_SIZE)
        size = whole if first is None else min(first, whole)
        if len(self._drawn.get(name, ())) < size:
            self._drawn[name] = tuple(self.draw_examples(name, self.splits[name], size))
        return list(self._drawn[name][:size])

    def draw_examples(self, name: str, split: S, size: int) -> list[Example]:
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
            rng = random.Random(f"{self.name}/{draw}")
            attempt += 1
            problem = self.draw(rng, split)
            if problem is None:
                continue
            key = self.key(problem)
            if key in seen or not split.may_hold(key):
                continue
            seen.add(key)
            examples.append(self.to_example(problem, f"{name}-{len(examples)}", draw, rng))
        return examples

    def to_example(self, problem: P, example_id: str, draw: str, rng: random.Random) -> Example:
        """One problem with one of its solutions, chosen by `rng`; `draw` names its random numbers."""
        return Example(
            id=example_id,
            prompt=self.write_prompt(problem),
            completion=self.write_solution(problem, rng),
            answer=self.answer(problem),
            meta={**self.describe(problem), "draw": draw},
        )

    def restated(self, example: Example, problem: P, rng: random.Random) -> Example:
        """The example with the text and answer of another problem, and one of its solutions."""
        return replace(
            example,
            prompt=self.write_prompt(problem),
            completion=self.write_solution(problem, rng),
            answer=self.answer(problem),
        )

    def recall(self, example: Example) -> P | None:
        """The problem behind an example, drawn again; None when it is not one of `load_split`, as it was."""
        draw = str(example.meta.get("draw", ""))
        split = self.splits.get(draw.rpartition("/")[0])
        problem = None if split is None else self.draw(random.Random(f"{self.name}/{draw}"), split)
        return problem if problem is not None and self.write_prompt(problem) == example.prompt else None


def reordered(task: DrawnTask[Any, Any], example: Example, seed: int) -> Example | None:
    """The same problem with its sentences told in another order, any other equally likely; the answer stays.

    Args:
        task: whose problems keep the order of their sentences in `order`, two or more.
        example: an example of its `load_split`.
        seed: with the example's id, decides the order.

    Returns:
        The example with a new prompt; None when it is not of `load_split` or has been changed since.
    """
    problem = task.recall(example)
    if problem is None:
        return None
    order = another_order(problem.order, random.Random(f"{seed}/order/{example.id}"))
    return replace(example, prompt=task.write_prompt(replace(problem, order=order)))


def another_order(order: tuple[int, ...], rng: random.Random) -> tuple[int, ...]:
    """The same two or more different things in another order, any other equally likely."""
    new = order
    while new == order:
        new = tuple(rng.sample(order, len(order)))
    return new
