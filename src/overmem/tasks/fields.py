"""Read single fields of a row: text, and numbers as text."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from overmem.errors import DataError
from overmem.grading.answers import number_text


def read_text(value: object, where: str) -> str:
    """A field as text: strings as they are, numbers in canonical form, anything else refused."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        try:
            return number_text(value)
        except ValueError as error:
            raise DataError(f"{where} is not a finite number", got=value) from error
    if not isinstance(value, str):
        raise DataError(f"{where} is not text", got=type(value).__name__, expected="a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where} is not valid Unicode", got=f"a surrogate at {error.start}") from error
    return value


def required_text(row: Mapping[str, object], key: str, where: str) -> str:
    """A field that must be there and hold text, without whitespace at its ends."""
    return required_raw_text(row, key, where).strip()


def required_raw_text(row: Mapping[str, object], key: str, where: str) -> str:
    """A field that must be there and hold text, to the letter."""
    value = row.get(key)
    if isinstance(value, str):
        read_text(value, f"{where}, `{key}`")
    if not isinstance(value, str) or not value.strip():
        raise DataError(
            f"{where} lacks the field `{key}`",
            got=f"keys {', '.join(map(str, row))}" if value is None else repr(value),
            expected="text",
            next_step="leave the task name out to have the shape recognised by its keys",
        )
    return value
