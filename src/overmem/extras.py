"""Packages that not every installation has: one message where one is missing, naming the extra to install.

The extras stand in pyproject.toml; an installation without any measures, judges, reports and merges.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

from overmem.boundary import reason
from overmem.errors import MissingExtraError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTION = "overmem"


@contextmanager
def needs_extra(extra: str, what: str, *, otherwise: str = "") -> Iterator[None]:
    """Turn a failing import of an optional package into one message; only the import stands in the block.

    Args:
        extra: as pyproject.toml calls it: `train`.
        what: what cannot be done without, as the start of a sentence: `training`.
        otherwise: what the user can do instead.

    Raises:
        MissingExtraError: a package is missing, or is there in a version that the extra does not take.
    """
    try:
        yield
    except (ImportError, AttributeError) as raised:  # an attribute: another version than is meant
        got = "; ".join(unmet(extra)) or reason(raised)
        raise MissingExtraError(
            f"{what} needs the extra `{extra}` of overmem",
            got=got,
            next_step=install_words(extra) + (f", or {otherwise}" if otherwise else ""),
        ) from None


def check_extra(extra: str, what: str) -> None:
    """Refuse at once where an extra's packages are missing, or there in versions that it does not take.

    For packages whose other versions import well and fail in the middle of the work.

    Args:
        extra: as pyproject.toml calls it.
        what: as in `needs_extra`.

    Raises:
        MissingExtraError: they are.
    """
    if lacking := unmet(extra):
        raise MissingExtraError(
            f"{what} needs the extra `{extra}` of overmem",
            got="; ".join(lacking),
            next_step=install_words(extra),
        )


def install_words(extra: str) -> str:
    """The command that installs an extra beside what is there."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def unmet(extra: str) -> list[str]:
    """What of an extra is not installed, or in another version, in words; empty if all is well."""
    found = []
    for wanted in extra_requirements(extra):
        try:
            there = version(wanted.name)
        except PackageNotFoundError:
            found.append(f"{wanted.name} is not installed")
            continue
        if not wanted.specifier.contains(there, prereleases=True):
            found.append(f"{wanted.name} {there} is installed, and {wanted.name}{wanted.specifier} is needed")
    return found


def extra_requirements(extra: str) -> list[Requirement]:
    """What an extra installs, as the installed overmem says; empty where overmem is not installed."""
    from packaging.requirements import Requirement

    try:
        named = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return []
    every = map(Requirement, named)
    return [
        wanted
        for wanted in every
        if wanted.marker is not None
        and not wanted.marker.evaluate({"extra": ""})
        and wanted.marker.evaluate({"extra": extra})
    ]
