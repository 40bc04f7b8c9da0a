"""A recipe's canaries as training examples, and as files beside the run for the audit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from overmem.artifacts.files import write_text_atomic
from overmem.recipe.canaries import CANDIDATES, FOLDER, INSERTED, Canaries, make_canaries
from overmem.recipe.schema import Recipe
from overmem.records import Example
from overmem.tasks.examples import examples_from_rows
from overmem.tasks.sources import load_examples


def canaries_of(recipe: Recipe) -> Canaries | None:
    """The canaries that a recipe asks for, the same each time; None where it asks for none."""
    if recipe.canaries is None:
        return None
    return make_canaries(load_examples(recipe.data.train).examples, recipe.canaries)


def inserted_examples(recipe: Recipe, canaries: Canaries | None) -> Sequence[Example]:
    """What is trained on beside the training data: each canary as often as the recipe says."""
    if recipe.canaries is None or canaries is None:
        return ()
    rows = ((row["id"], row) for row in canaries.inserted)
    examples, _ = examples_from_rows(rows, FOLDER)
    return examples * recipe.canaries.repetitions


def write_canaries(output: Path, canaries: Canaries) -> None:
    """Save canaries beside a run, where an audit finds them."""
    for name, rows in ((INSERTED, canaries.inserted), (CANDIDATES, canaries.candidates)):
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        write_text_atomic(output / FOLDER / name, "".join(f"{line}\n" for line in lines))
