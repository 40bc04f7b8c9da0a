"""Read single fields of a row: text, numbers as text, lists, and options."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from overmem.errors import DataError
from overmem.grading.answers import number_text
from overmem.parsing import parse_json


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


def read_list(value: object, where: str) -> list[object]:
    """A list, given as one or as the JSON text of one (as CSV and some data sets hold it)."""
    held = _from_json(value, "[", where)
    if not isinstance(held, list | tuple):
        raise DataError(f"{where} is not a list", got=type(held).__name__)
    return list(held)


def read_options(value: object, where: str) -> list[str]:
    """Options as a list of texts, a record with a text for each letter, or the JSON text of either.

    Raises:
        DataError: neither, or letters with a gap.
    """
    held = _from_json(value, "{", where)
    if not isinstance(held, Mapping):
        return [read_text(option, where).strip() for option in read_list(held, where)]
    named = {str(key).strip(): text for key, text in held.items() if text is not None}
    letters = sorted(named)
    if letters != [chr(ord("A") + index) for index in range(len(letters))]:
        raise DataError(f"{where} has other keys than A, B, C and so on", got=", ".join(named)[:100])
    return [read_text(named[letter], where).strip() for letter in letters]


def _from_json(value: object, opening: str, where: str) -> object:
    """What a text that opens like JSON holds; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(opening):
        return value
    try:
        return parse_json(value)
    except ValueError as error:
        raise DataError(f"{where} is not JSON ({error})", got=value[:100]) from error


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
