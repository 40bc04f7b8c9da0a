"""Records from their JSON form: each field is checked against the type that its record declares.

The reader knows no record by name, so that a record which gains a field needs no code here. Unknown keys
are ignored: a later version may add some within a schema, and what this version knows still means the
same. A change of meaning takes another schema, which is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from overmem.errors import ArtifactError
from overmem.parsing import finite_number

T = TypeVar("T")
_TOO_LARGE = 2**63


def from_plain(kind: type[T], plain: Any, *, what: str, next_step: str, schema: str | None = None) -> T:
    """Make a record from its JSON form, the inverse of `overmem.records.to_plain`.

    A null is None where the type allows that, else NaN where it is a number. A field without a default must
    be there.

    Args:
        kind: the record's class, a dataclass of plain values, records, tuples and mappings.
        plain: parsed JSON.
        what: name of the record for a message, such as `verdict.json`.
        next_step: what a user should do where it cannot be read.
        schema: that `plain` must carry; None where it carries none.

    Raises:
        ArtifactError: another schema, or a field that is missing or of another type, by its path.
    """
    found = plain.get("schema") if isinstance(plain, Mapping) else None
    if schema is not None and found != schema:
        got = f"schema {found!r}" if isinstance(plain, Mapping) else type(plain).__name__
        raise ArtifactError(
            f"{what} has another schema", got=got, expected=f"schema {schema!r}", next_step=next_step
        )
    try:
        made: T = _read(kind, plain, "")
    except FieldError as error:
        raise ArtifactError(
            f"{what}: {error.path or 'the record'} {error.problem}",
            got=error.got,
            expected=error.expected,
            next_step=next_step,
        ) from None
    return made


class FieldError(Exception):
    """One field that cannot be read.

    A record whose fields have to agree with one another has a method `check_read(self) -> None`, which raises
    this; it is called when the record was read from a file.
    """

    def __init__(self, path: str, problem: str, got: object, expected: str) -> None:
        """Say what is wrong.

        Args:
            path: the field, such as `checkpoints.0.name`.
            problem: what is wrong, as it follows the path: `cannot be read`.
            got: what stands there.
            expected: what should.
        """
        super().__init__(path)
        self.path, self.problem, self.got, self.expected = path, problem, got, expected


def check_plain(kind: type, plain: Any, path: str) -> None:
    """Check a part of a record that is kept as it stands in the file.

    Args:
        kind: a dataclass with the fields that are read from it; others may be there.
        plain: the part.
        path: where it stands.

    Raises:
        FieldError: a field that is missing or of another type.
    """
    _read(kind, plain, path)


def _read(kind: Any, value: Any, path: str) -> Any:
    """A value as its declared type has it."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _read_record(kind, value, path)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _read_union(get_args(kind), value, path)
    if origin is tuple:
        if isinstance(value, list | tuple):
            return tuple(_read(get_args(kind)[0], item, f"{path}.{i}") for i, item in enumerate(value))
    elif origin is Mapping:
        if isinstance(value, Mapping):
            return {str(key): _read(get_args(kind)[1], item, f"{path}.{key}") for key, item in value.items()}
    elif origin is Literal:
        if value in get_args(kind):
            return value
    elif kind is float and value is None:
        return math.nan
    elif kind is Path and isinstance(value, str):
        return Path(value)
    elif kind is Any or _is_plain(kind, value):
        return value
    raise FieldError(path, "cannot be read", f"{value!r:.80}", _name(kind))


def _is_plain(kind: type, value: Any) -> bool:
    """Whether it is a plain value of its type; a whole number will do for a float, true for neither.

    Numbers are finite, and whole ones have 64 bits: NaN and 10**400 are none that overmem writes.
    """
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is float:
        return finite_number(value) is not None
    return isinstance(value, kind) and (not isinstance(value, int) or abs(value) < _TOO_LARGE)


def _read_record(kind: type, value: Any, path: str) -> Any:
    if not isinstance(value, Mapping):
        raise FieldError(path, "cannot be read", f"{value!r:.80}", "an object")
    found = {}
    for field, hint in _fields(kind):
        place = f"{path}.{field.name}".lstrip(".")
        if field.name in value:
            found[field.name] = _read(hint, value[field.name], place)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise FieldError(place, "is missing", None, _name(hint))
    made = kind(**found)
    check = getattr(made, "check_read", None)
    if check is not None:
        try:
            check()
        except FieldError as error:
            where = f"{path}.{error.path}".strip(".")
            raise FieldError(where, error.problem, error.got, error.expected) from None
    return made


def _read_union(kinds: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    for kind in (others := [kind for kind in kinds if kind is not types.NoneType]):
        try:
            return _read(kind, value, path)
        except FieldError as error:
            if len(others) == 1:
                raise FieldError(error.path, error.problem, error.got, error.expected) from None
    raise FieldError(path, "cannot be read", f"{value!r:.80}", " or ".join(map(_name, kinds)))


@cache
def _fields(kind: type) -> tuple[tuple[dataclasses.Field[Any], Any], ...]:
    """The fields of a record with their types."""
    hints = get_type_hints(kind)
    return tuple((field, hints[field.name]) for field in dataclasses.fields(kind))


def _name(kind: Any) -> str:
    """A type as a reader of JSON knows it."""
    origin = get_origin(kind)
    if origin is Literal:
        return " or ".join(map(repr, get_args(kind)))
    if origin in (Union, types.UnionType):
        return " or ".join(map(_name, get_args(kind)))
    names = {str: "text", Path: "text", float: "a number or null", int: "a whole number"}
    names |= {bool: "true or false", types.NoneType: "null", tuple: "a list"}
    return names.get(origin or kind, "an object")


def settings_key(settings: Mapping[str, Any]) -> str:
    """A short name for everything that decides a row's figures; equal settings, equal key."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
