"""Canaries: rows of random words put into the training data, to measure what the model remembers of them.

All have one prompt, and completions drawn alike; some are put in, the others are not. Exposure says how
unlikely it is by chance that a row that was put in is as probable as it is (1802.08232).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from overmem.errors import RecipeError
from overmem.recipe.schema import CanaryRecipe
from overmem.records import Example

FOLDER = "canaries"
"""Where a run keeps them: `inserted.jsonl` and `candidates.jsonl`."""
INSERTED, CANDIDATES = "inserted.jsonl", "candidates.jsonl"
WORDS = 8
"""Of a prompt, and of a completion."""
N_CANDIDATES = 255
"""Rows that are not put in; with one that is, ranks are of 256."""
FEWEST_WORDS = 16
"""Fewest different words of the training completions."""
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Canaries:
    """Rows in the shape of the training data: prompt and completion, or messages."""

    inserted: tuple[Row, ...]
    candidates: tuple[Row, ...]


def make_canaries(examples: Sequence[Example], settings: CanaryRecipe) -> Canaries:
    """Draw canaries from the words of the training completions, the same each time.

    Args:
        examples: the training data.
        settings: how many, and the seed.

    Raises:
        RecipeError: tokenized data, or too few different words to draw from.
    """
    if any(example.tokens is not None for example in examples):
        raise RecipeError(
            "canaries are texts, and the training data are tokenized already",
            got="rows of input_ids",
            next_step="leave out `canaries`, or train on texts",
        )
    words = sorted({word for example in examples for word in example.completion.split()})
    if len(words) < FEWEST_WORDS:
        raise RecipeError(
            "canaries are made of the words of the training completions, which are too few",
            got=f"{len(words)} different words",
            expected=f"at least {FEWEST_WORDS}",
            next_step="leave out `canaries`",
        )
    rng = random.Random(f"canaries/{settings.seed}")
    first = examples[0]
    start = first.completion[: len(first.completion) - len(first.completion.lstrip())]
    prompt = " ".join(rng.choices(words, k=WORDS))
    number = max(1, round(settings.rate * len(examples)))
    texts: dict[str, None] = {}
    while len(texts) < number + N_CANDIDATES:
        texts[start + " ".join(rng.choices(words, k=WORDS))] = None
    rows = [_row(f"canary-{i}", prompt, text, first) for i, text in enumerate(texts)]
    return Canaries(inserted=tuple(rows[:number]), candidates=tuple(rows[number:]))


def _row(name: str, prompt: str, completion: str, like: Example) -> Row:
    if isinstance(like.prompt, str):
        return {"id": name, "prompt": prompt, "completion": completion}
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
    return {"id": name, "messages": turns}
