"""Arguments of a public function held against the types in its signature: one message for a wrong one.

The command line parses its own options; this is for Python, where `rule={}` or a path that is None would end
in an AttributeError deep inside. What a type alone cannot say (ranges, names that exist) the functions check.
"""

from __future__ import annotations

import inspect
import os
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from overmem.errors import WrongArgumentError

MAX_NAME_BYTES = 255
"""Of one part of a path, on the file systems in use."""
_MADE_BY = {
    "Rule": "overmem.Rule(accuracy_margin=...) makes one",
    "Recipe": "overmem.load_recipe(FILE) makes one",
}


class Arguments:
    """What a public function takes; its types are read at the first call."""

    def __init__(self, function: Callable[..., Any], called: str) -> None:
        """Describe a function.

        Args:
            function: any; a type of its signature that cannot be looked up is not checked.
            called: its public name.
        """
        self.called = called
        self.signature = inspect.signature(function)
        self._function = function

    @cached_property
    def _types(self) -> dict[str, Any]:
        found = {}
        for name, written in self._function.__annotations__.items():
            try:
                found[name] = (
                    eval(written, self._function.__globals__) if isinstance(written, str) else written
                )
            except NameError:  # imported for type checkers alone
                continue
        return {name: kind for name, kind in found.items() if name in self.signature.parameters}

    def check(self, given: Sequence[Any], named: Mapping[str, Any]) -> None:
        """Refuse a call that lacks an argument or has one of a wrong type.

        Args:
            given: arguments by place.
            named: arguments by name.

        Raises:
            WrongArgumentError: names the first wrong one.
        """
        try:
            bound = self.signature.bind(*given, **named).arguments
        except TypeError as error:
            raise WrongArgumentError(
                f"{self.called}: {error}", next_step=f"see help({self.called})"
            ) from None
        for name, value in bound.items():
            if name not in self._types:
                continue
            kind = self._types[name]
            if not accepts(value, kind):
                raise WrongArgumentError(
                    f"{self.called}: `{name}` is of a wrong type",
                    got=f"{value!r} ({type(value).__name__})",
                    expected=in_words(kind),
                    next_step=self._advice(value, kind),
                )
            if (why := _why_no_path(value, kind)) is not None:
                raise WrongArgumentError(
                    f"{self.called}: `{name}` cannot be a path", got=repr(value), expected=why
                )

    def _advice(self, value: object, kind: Any) -> str:
        words = in_words(kind)
        made = [advice for name, advice in _MADE_BY.items() if name in words.replace(",", "").split()]
        if isinstance(value, str) and "a sequence of" in words:
            return f"write [{value!r}]"
        return made[0] if made else f"see help({self.called})"


def accepts(value: object, kind: Any) -> bool:
    """Whether a value is of a type as a signature writes it; True where the type says too little to tell.

    Args:
        value: anything.
        kind: a class, None, a union, a literal, `Sequence`, `Mapping` or `Callable` of such.
    """
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(accepts(value, one) for one in inside)
    if origin is Annotated:
        return accepts(value, inside[0])
    if origin is Literal:  # which one it may be, the function checks
        return any(type(value) is type(one) for one in inside)
    if kind is None or kind is type(None):
        return value is None
    if kind in (int, float):
        return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    if _is_callable(origin) or _is_callable(kind):
        return callable(value)
    if _is_a(origin, Mapping):
        return isinstance(value, Mapping) and all(
            accepts(key, inside[0]) and accepts(item, inside[1]) for key, item in value.items()
        )
    if _is_a(origin, Sequence):
        items = _items(value)
        return items is not None and all(accepts(item, inside[0]) for item in items)
    if origin is None and isinstance(kind, type):
        try:
            return isinstance(value, kind)
        except TypeError:  # a protocol that is for type checkers alone
            return True
    return True


def in_words(kind: Any) -> str:
    """A type of a signature as a person reads it: `Run, str or Path`."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _either([in_words(one) for one in inside])
    if origin is Annotated:
        return ": ".join((in_words(inside[0]), *(more for more in inside[1:] if isinstance(more, str))))
    if origin is Literal:
        return _either([repr(one) for one in inside])
    if kind is None or kind is type(None):
        return "None"
    if _is_callable(origin) or _is_callable(kind):
        return "a function"
    if _is_a(origin, Mapping):
        return f"a mapping of {in_words(inside[0])} to {in_words(inside[1])}".removesuffix(" to Any")
    if _is_a(origin, Sequence):
        return f"a sequence of {in_words(inside[0])}"
    return getattr(kind, "__name__", str(kind))


def _is_callable(kind: Any) -> bool:
    return kind is Callable


def _is_a(origin: Any, kind: type) -> bool:
    return isinstance(origin, type) and issubclass(origin, kind)


def _items(value: object) -> Iterable[object] | None:
    """What is in a list, a tuple or an array; None for a text, a mapping or what is gone once it is read."""
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__len__"):
        return None
    return value if hasattr(value, "__getitem__") and hasattr(value, "__iter__") else None


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _why_no_path(value: object, kind: Any) -> str | None:
    """What a text, or one of several, lacks to be a path; None where it is one, or need not be."""
    kinds = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if not isinstance(value, str | Path):
        several = [get_args(one)[0] for one in kinds if _is_a(get_origin(one), Sequence)]
        items = _items(value) if several else None
        return next(
            filter(None, (_why_no_path(one, several[0]) for one in (() if items is None else items))), None
        )
    if Path not in kinds:
        return None
    try:
        written = os.fsencode(value)
    except UnicodeEncodeError:
        return "text that can be written to a disk: it holds half of a character"
    if b"\0" in written:
        return "text without the character NUL"
    longest = max(map(len, written.split(os.sep.encode())))
    return (
        f"at most {MAX_NAME_BYTES} bytes between two slashes, not {longest:,}"
        if longest > MAX_NAME_BYTES
        else None
    )
