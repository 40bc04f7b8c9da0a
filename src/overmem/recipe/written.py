"""Values as they are written in YAML and after `--set`, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from overmem import parsing
from overmem.errors import RecipeError
from overmem.parsing import ParseError

_MISSED_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+")
"""A number that YAML 1.1 takes for text: it wants a point and a sign, as in 1.0e-3."""


def parse_override(text: str) -> tuple[str, Any]:
    """`key.path=value` from the command line; the value is read as YAML, but a text stays as it is typed.

    So ` #` and `: ` have no meaning in it: `####` and `Question: {prompt}` are ordinary in prompts.
    A mapping is `{name: value}`, with a value to each name.

    Raises:
        RecipeError: there is no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise RecipeError("cannot read an override", got=text, expected="--set training.learning_rate=1e-3")
    typed = value.strip()
    try:
        parsed = parsing.parse_yaml(value)
    except ParseError:
        return key, value
    if isinstance(parsed, dict) and parsed:
        is_mapping = typed.startswith("{") and None not in parsed.values()
        return key, with_numbers(parsed) if is_mapping else value
    if isinstance(parsed, str) and typed[0] not in "'\"|>!&*":
        return key, number_or_same(typed)
    return key, typed if parsed is None and typed.startswith("#") else parsed


def with_numbers(value: Any) -> Any:
    """What was read from YAML, with 1e-4 as the number it is, at any depth."""
    if isinstance(value, Mapping):
        return {key: with_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_numbers(item) for item in value]
    return number_or_same(value)


def number_or_same(value: Any) -> Any:
    """A number where YAML 1.1 took one for a string, as it does 1e-3; anything else as it is."""
    missed = isinstance(value, str) and _MISSED_NUMBER.fullmatch(value)
    return float(value) if missed else value
