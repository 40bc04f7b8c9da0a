"""The axes: one module each, found here by name. Adding an axis is adding a file.

A module becomes an axis by having `AXIS`, an `overmem.axes.axis.Axis`.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from overmem.axes.axis import Axis
from overmem.errors import RunError

CORE = ("likelihood", "accuracy")
"""What the decision rule rests on; always measured at every checkpoint."""
IMPLYING = frozenset({"references", "retention"})
"""Options of an audit that imply an axis. Without one, and without the name of another axis than the core, no
axis is loaded: each loads what it computes with, which takes longer than to find that val cannot be read."""


@cache
def all_axes() -> dict[str, Axis]:
    """Every axis by name: the core first, then in alphabetical order."""
    modules = [import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__)]
    found: dict[str, Axis] = {m.AXIS.name: m.AXIS for m in modules if hasattr(m, "AXIS")}
    return {name: found[name] for name in (*CORE, *sorted(set(found) - set(CORE)))}


def choose_axes(names: str | tuple[str, ...]) -> tuple[str, ...]:
    """Axis names from `all` or a choice of them, in the order of `all_axes`.

    Raises:
        RunError: an axis that does not exist, or none.
    """
    asked = tuple(filter(None, names.split(","))) if isinstance(names, str) else names
    if asked and set(asked) <= set(CORE):
        return tuple(name for name in CORE if name in asked)
    known = all_axes()
    if "all" in asked:
        return tuple(known)
    unknown = [name for name in asked if name not in known]
    if unknown or not asked:
        raise RunError(
            "unknown axis" if unknown else "no axis was named",
            got=", ".join(unknown) or "none",
            expected=f"all, or some of {', '.join(known)}",
        )
    return tuple(name for name in known if name in asked)


def axes_implied_by(given: Collection[str]) -> tuple[str, ...]:
    """Axes that some options of an audit ask for by being given.

    Args:
        given: names of the options.
    """
    if IMPLYING.isdisjoint(given):
        return ()
    return tuple(name for name, axis in all_axes().items() if axis.implied_by in given)
