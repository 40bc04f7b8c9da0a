"""The cells of a sweep: one recipe each, with a readable name that stays the same as the sweep grows."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overmem.errors import RecipeError
from overmem.recipe.reading import load_recipe
from overmem.recipe.schema import Recipe
from overmem.serialization import settings_key
from overmem.sweeping.config import Sweep
from overmem.sweeping.record import short_key

SEED = "seed"
"""The key whose values make runs of one configuration."""
_LONGEST = 40
"""Characters of a value in a name."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One fine-tune of a sweep."""

    name: str
    """From its settings, as `learning_rate=0.0004+seed=1`; also its folder's name."""
    settings: Mapping[str, Any]
    """What it sets itself, by dotted recipe key, in the order written."""
    recipe: Recipe
    group: str
    """The name without the seed: cells of one group are one configuration, and are judged as one run."""

    @property
    def folder(self) -> Path:
        """Its run folder."""
        return Path(self.recipe.output)

    def value(self, key: str) -> Any:
        """What its recipe says under a dotted key, whether or not the cell sets it; None if nothing."""
        found: Any = self.recipe.model_dump(mode="json")
        for part in key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found


def make_cells(sweep: Sweep) -> tuple[Cell, ...]:
    """Every cell of a sweep, its recipe checked, in the order of the grid.

    A name has every key that the cell's entry and the grid set, so that a longer grid changes no name.

    Raises:
        RecipeError: a cell whose recipe is not valid (cell and field are named), or two cells alike.
    """
    every = [entry | point for entry in (sweep.cells or [{}]) for point in _points(sweep.grid)]
    shorts = _short_keys(every)
    texts = [{key: _value_text(value) for key, value in settings.items()} for settings in every]
    # Different values may look the same once they are fit for a folder's name.
    clashes = Counter(_name(text, shorts) for text in texts)
    cells = []
    for settings, text in zip(every, texts, strict=True):
        if clashes[_name(text, shorts)] > 1:
            text = {key: f"{text[key]}-{_digest(value)}" for key, value in settings.items()}
        name = _name(text, shorts)
        group = _name({key: value for key, value in text.items() if key != SEED}, shorts)
        recipe = _recipe(sweep, settings, name)
        cells.append(Cell(name=name, settings=settings, recipe=recipe, group=group))
    _refuse_twins(cells)
    return tuple(cells)


def varied_keys(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Keys, the seed left out, whose value is not the same in all cells, in the order written."""
    keys = dict.fromkeys(key for cell in cells for key in cell.settings if key != SEED)
    return tuple(key for key in keys if len({_exact(cell.value(key)) for cell in cells}) > 1)


def _points(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _recipe(sweep: Sweep, settings: Mapping[str, Any], name: str) -> Recipe:
    output = str(Path(sweep.output) / name)
    try:
        return load_recipe(sweep.recipe, {**sweep.set, **settings, "output": output})
    except RecipeError as error:
        raise RecipeError(
            f"cell {name}: {error.what}", got=error.got, expected=error.expected, next_step=error.next_step
        ) from None


def _refuse_twins(cells: Sequence[Cell]) -> None:
    seen: dict[str, str] = {}
    for cell in cells:
        key = settings_key(cell.recipe.model_dump(mode="json", exclude={"output"}))
        if key in seen:
            raise RecipeError(
                "two cells are the same fine-tune",
                got=f"{seen[key]} and {cell.name}",
                next_step="take one of them out of the sweep",
            )
        seen[key] = cell.name


def _short_keys(every: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Each key's last part, or all of it where another key ends alike."""
    keys = list(dict.fromkeys(key for settings in every for key in settings))
    ends = Counter(map(short_key, keys))
    return {key: short_key(key) if ends[short_key(key)] == 1 else key for key in keys}


def _name(texts: Mapping[str, str], shorts: Mapping[str, str]) -> str:
    """Sorted, the seed last: whatever the order in which the sweep is written."""
    order = sorted(texts, key=lambda key: (key == SEED, key))
    return "+".join(f"{shorts[key]}={texts[key]}" for key in order) or "recipe"


def _value_text(value: Any) -> str:
    """A value in characters that any file system takes."""
    if isinstance(value, int | float):
        return json.dumps(value)
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "empty"
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}-{_digest(value)}"


def _digest(value: Any) -> str:
    return hashlib.sha256(_exact(value).encode()).hexdigest()[:6]


def _exact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
