"""Names that do not exist, of keywords, commands and options: one message with the nearest that does.

Public functions and records are marked here, and so have their arguments' types checked too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Any, ParamSpec, TypeVar

from overmem.argument_types import Arguments
from overmem.errors import UnknownOptionError

P = ParamSpec("P")
R = TypeVar("R")


def names_its_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """Let a public function refuse a misspelled keyword with the nearest name, and a wrong type.

    Both are a `TypeError` still.
    """
    check = _checks(function, f"overmem.{function.__name__}")

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        check(args, kwargs)
        return function(*args, **kwargs)

    return called


def names_its_fields(record: type[R]) -> type[R]:
    """Let a public class refuse a misspelled field with the nearest name, and a value of a wrong type."""
    made = record.__init__
    check = _checks(made, f"overmem.{record.__name__}")

    @functools.wraps(made)
    def checked(self: R, *args: Any, **kwargs: Any) -> None:
        check((self, *args), kwargs)
        made(self, *args, **kwargs)

    record.__init__ = checked  # type: ignore[method-assign, assignment]
    return record


def _checks(function: Callable[..., Any], called: str) -> Callable[[tuple[Any, ...], dict[str, Any]], None]:
    """Refuses keywords that a function does not have, then arguments of a wrong type."""
    arguments = Arguments(function, called)
    parameters = arguments.signature.parameters.values()
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    known = [
        parameter.name
        for parameter in parameters
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.name != "self"
    ]

    def check(given: tuple[Any, ...], named: dict[str, Any]) -> None:
        if not takes_any:
            refuse_unknown(named, known, called)
        arguments.check(given, named)

    return check


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
