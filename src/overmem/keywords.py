"""Names that do not exist, of keywords, commands and options: one message with the nearest that does."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Any, ParamSpec, TypeVar

from overmem.errors import UnknownOptionError

P = ParamSpec("P")
R = TypeVar("R")


def names_its_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """Let a public function refuse a misspelled keyword with the nearest name; it is a `TypeError` still."""
    signature = inspect.signature(function)
    known = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        refuse_unknown(kwargs, known, f"overmem.{function.__name__}")
        return function(*args, **kwargs)

    return called


def names_its_fields(record: type[R]) -> type[R]:
    """Let a public record refuse a misspelled field with the nearest name; it is a `TypeError` still."""
    made = record.__init__
    known = [name for name in inspect.signature(made).parameters if name != "self"]

    @functools.wraps(made)
    def checked(self: R, *args: Any, **kwargs: Any) -> None:
        refuse_unknown(kwargs, known, f"overmem.{record.__name__}")
        made(self, *args, **kwargs)

    record.__init__ = checked  # type: ignore[method-assign, assignment]
    return record


def refuse_unknown(given: Collection[str], known: Collection[str], what: str) -> None:
    """Refuse keywords that are not known.

    Args:
        given: the keywords of a call.
        known: those there are.
        what: was called.

    Raises:
        UnknownOptionError: names the first unknown one and the nearest that is known, or all.
    """
    unknown = sorted(set(given) - set(known))
    if not unknown:
        return
    raise UnknownOptionError(
        f"{what} has no option {unknown[0]!r}",
        got=", ".join(unknown),
        expected=did_you_mean(unknown[0], known) or f"some of {', '.join(known)}",
    )


def did_you_mean(written: str, known: Collection[str]) -> str | None:
    """The question with the nearest known name; None where none is near."""
    near = get_close_matches(written, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else None
