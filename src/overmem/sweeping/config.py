"""What people write to describe a sweep: a YAML file, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from overmem.auditing.options import AuditOptions
from overmem.axes import CORE, choose_axes
from overmem.errors import RecipeError
from overmem.recipe.reading import find_recipe, read_yaml
from overmem.recipe.written import with_numbers
from overmem.rule import Rule
from overmem.strict_model import Strict, wrong_fields

NOT_HERE = {
    "train": "data.train, in the recipe",
    "half": "confirm, a split of its own",
    "until_decided": "nothing: cells are compared, so all are measured on the same problems",
    "rule": "rule, beside audit",
    "budget_minutes": "limit: cells are compared, so all are measured on the same problems",
}
"""Options of an audit that would make the cells differ, and what to write instead."""


class RuleSettings(Strict):
    """The decision rule; see `overmem.judge`."""

    accuracy_margin: float = Field(default=Rule.accuracy_margin, ge=0, lt=1)
    perplexity_ratio: float = Field(default=Rule.perplexity_ratio, gt=1)
    resamples: int = Field(default=Rule.resamples, ge=100)
    seed: int = Rule.seed

    def to_rule(self) -> Rule:
        """The thresholds as the verdict takes them."""
        return Rule(**self.model_dump())


class Sweep(Strict):
    """A whole sweep; keys of `set`, `grid` and `cells` are dotted, as `overmem train --set` takes them."""

    recipe: str
    """Path of a recipe, or the name of a bundled one: what all cells share."""
    output: str
    """Folder of the sweep; each cell is a run folder in it."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Values that all cells take in place of the recipe's."""
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    """Values of each key; a cell for every combination."""
    cells: list[dict[str, Any]] = Field(default_factory=list)
    """Values that belong together; each entry is run at every point of the grid."""
    audit: dict[str, Any] = Field(default_factory=dict)
    """Options of the audit by their names in `overmem.audit`: axes, limit, limits, samples, ood, ..."""
    rule: RuleSettings = RuleSettings()
    confirm: str | None = None
    """Problems that choose nothing, on which the recommended cell is measured again."""

    @model_validator(mode="before")
    @classmethod
    def _numbers(cls, written: Any) -> Any:
        """Take 1e-4 for the number it is."""
        if not isinstance(written, Mapping):
            return written
        return {
            key: with_numbers(value) if key in ("set", "grid", "cells") else value
            for key, value in written.items()
        }

    @model_validator(mode="after")
    def _settings(self) -> Sweep:
        if not self.grid and not self.cells:
            raise ValueError("nothing varies: write `grid:` or `cells:`")
        empty = [key for key, values in self.grid.items() if not values]
        if empty:
            raise ValueError(f"grid.{empty[0]}: no values")
        shared = {"set": self.set, "grid": self.grid}
        entries = {f"cells.{i}": entry for i, entry in enumerate(self.cells)}
        for name, keys in {**shared, **entries}.items():
            if "output" in keys:
                raise ValueError(f"{name}.output: every cell has a folder of its own within `output`")
            for other, others in shared.items():
                twice = sorted(set(keys) & set(others))
                if other != name and twice:
                    raise ValueError(f"{name}.{twice[0]}: is in {other} too")
        return self

    @model_validator(mode="after")
    def _audit(self) -> Sweep:
        for key, instead in NOT_HERE.items():
            if key in self.audit:
                raise ValueError(f"audit.{key}: write {instead}")
        if str(self.audit.get("engine", "hf")) != "hf":
            raise ValueError("audit.engine: a server has none of the models that a sweep trains")
        known = [name for name in AuditOptions.model_fields if name not in NOT_HERE]
        unknown = ", ".join(sorted(self.audit.keys() - set(known)))
        if unknown:
            raise ValueError(f"audit: {unknown}: no such option; there are {', '.join(known)}")
        try:
            self.audit_options()
        except ValidationError as error:
            raise ValueError(f"audit: {wrong_fields(error)}") from None
        return self

    def audit_options(self) -> AuditOptions:
        """The options of the audit, with what a verdict needs among the axes, and the sweep's own rule.

        Raises:
            ValidationError: an option that does not exist, or a value it cannot have.
        """
        asked = AuditOptions.model_validate({**self.audit, "axes": self.audit.get("axes") or CORE})
        axes = choose_axes((*CORE, *choose_axes(asked.axes)))
        return asked.replace(axes=axes, rule=self.rule.to_rule())


def load_sweep(name: str | Path, output: str | None = None, confirm: str | None = None) -> Sweep:
    """Read a sweep from a path, or by name from the bundled ones.

    Args:
        name: path of a YAML file, or a bundled sweep such as `sweep-organism`.
        output: folder that wins over the file's.
        confirm: source that wins over the file's.

    Raises:
        RecipeError: no such sweep, not YAML, or an unknown or impossible field (its path is named).
    """
    path = find_recipe(str(name), sweep=True)
    given = {"output": output, "confirm": confirm}
    return check_sweep(
        read_yaml(path) | {key: value for key, value in given.items() if value is not None}, str(path)
    )


def check_sweep(written: Mapping[str, Any], where: str) -> Sweep:
    """Validate a sweep's keys and values; its cells' recipes are checked when they are made.

    Raises:
        RecipeError: names every wrong field by its path, and the keys that exist there.
    """
    try:
        return Sweep.model_validate(written)
    except ValidationError as error:
        unknown = any(p["type"] == "extra_forbidden" for p in error.errors())
        raise RecipeError(
            f"{where} is not a valid sweep",
            got=wrong_fields(error),
            expected=f"keys: {', '.join(Sweep.model_fields)}" if unknown else None,
            next_step="see recipes/sweep-organism.yaml for every part of a sweep",
        ) from None
