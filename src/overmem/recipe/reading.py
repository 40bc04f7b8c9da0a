"""Recipes from files: found by path or name, read, checked, and written out again."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from overmem import parsing
from overmem.errors import RecipeError
from overmem.keywords import names_its_keywords
from overmem.parsing import ParseError
from overmem.recipe.schema import CanaryRecipe, DataRecipe, ModelRecipe, MonitorRecipe, Recipe, TemplateRecipe
from overmem.strict_model import wrong_fields

BUNDLED = Path(__file__).parent / "bundled"


@names_its_keywords
def load_recipe(name: str | Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """Read a recipe from a path, or by name from the bundled ones.

    Args:
        name: path of a YAML file, or a bundled recipe such as `organism-fast`.
        overrides: values by dotted key (`training.learning_rate`), which win over the file.

    Raises:
        RecipeError: no such recipe, not YAML, or an unknown or impossible field (its path is named).
    """
    path = find_recipe(name)
    written = read_yaml(path)
    for key, value in (overrides or {}).items():
        _set(written, key, value)
    return check_recipe(written, str(path))


def find_recipe(name: str | Path, *, sweep: bool = False) -> Path:
    """The file of a recipe, or of a sweep, by its path or by the name of a bundled one.

    Args:
        name: path of a YAML file, or the name of a bundled one.
        sweep: whether a sweep is meant; the bundled ones are called `sweep-...`.

    Raises:
        RecipeError: there is none.
    """
    path = Path(name) if Path(name).suffix in {".yaml", ".yml"} else BUNDLED / f"{name}.yaml"
    if path.is_file():
        return path
    names = sorted(p.stem for p in BUNDLED.glob("*.yaml"))
    bundled = ", ".join(stem for stem in names if stem.startswith("sweep-") == sweep)
    raise RecipeError(
        "no such sweep" if sweep else "no such recipe",
        got=name,
        expected=f"a YAML file, or one of: {bundled}",
        next_step="check the path",
    )


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values that a YAML file holds.

    Raises:
        RecipeError: it is not YAML, or something else than keys and values.
    """
    try:
        written = parsing.read_yaml(path)
    except ParseError as error:
        raise RecipeError(
            f"{path} is not YAML that can be read", got=error, expected="keys and values, each key once"
        ) from None
    if not isinstance(written, dict):
        raise RecipeError(
            f"{path} holds no keys and values", got=type(written).__name__, expected="keys and values"
        )
    return written


def check_recipe(written: dict[str, Any], where: str) -> Recipe:
    """Validate a recipe's keys and values.

    Raises:
        RecipeError: names every wrong field by its path, and the keys that exist there.
    """
    try:
        return Recipe.model_validate(written)
    except ValidationError as error:
        raise RecipeError(
            f"{where} is not a valid recipe",
            got=wrong_fields(error),
            expected=_keys_expected(error.errors()),
            next_step="see recipes/organism-fast.yaml for every part of a recipe",
        ) from None


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every default written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def _set(written: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        written = written.setdefault(parent, {})
        if not isinstance(written, dict):
            raise RecipeError("cannot set a key inside a value", got=dotted)
    # A copy: the next key may go into it, and the value is the caller's, as a sweep's for all its cells.
    written[last] = copy.deepcopy(value)


def _keys_expected(problems: list[Any]) -> str | None:
    places = {tuple(p["loc"][:-1]) for p in problems if p["type"] == "extra_forbidden"}
    models: dict[tuple[Any, ...], type[BaseModel]] = {
        (): Recipe,
        ("model",): ModelRecipe,
        ("data",): DataRecipe,
        ("template",): TemplateRecipe,
        ("monitor",): MonitorRecipe,
        ("canaries",): CanaryRecipe,
    }
    known = [", ".join(models[place].model_fields) for place in sorted(places) if place in models]
    return "keys: " + "; ".join(known) if known else None
