"""Options that carry a name: `--ood svamp=FILE`, `--variant typo`, `--limit diversity=100`."""

from __future__ import annotations

from collections.abc import Sequence

from overmem.errors import RunError


def parse_ood(given: Sequence[str]) -> dict[str, str]:
    """`NAME=SOURCE` pairs.

    Raises:
        RunError: a pair without a name, or a name given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, mark, source = text.partition("=")
        if not mark or not name or not source:
            raise RunError(
                "an OOD set needs a name", got=text, expected="NAME=SOURCE, as in svamp=svamp.json"
            )
        if name in found:
            raise RunError("an OOD set is named twice", got=name)
        found[name] = source
    return found


def parse_variants(given: Sequence[str]) -> dict[str, str | None] | None:
    """`NAME` for a built-in perturbation, `NAME=FILE` for one's own; None when none is given.

    Raises:
        RunError: a name without a file that is not built in.
    """
    from overmem.tasks.perturb import VARIANTS

    found: dict[str, str | None] = {}
    for text in given:
        name, mark, source = text.partition("=")
        if not mark and name not in VARIANTS:
            raise RunError(
                "unknown perturbation", got=name, expected=f"{', '.join(VARIANTS)}, or NAME=FILE for your own"
            )
        if name == "clean" or not name:
            raise RunError("a perturbation needs another name", got=text)
        found[name] = source if mark else None
    return found or None


def parse_weights(given: str | None) -> list[float] | None:
    """`0.2,0.3,0.5` as numbers.

    Raises:
        RunError: something that is not a number.
    """
    if given is None:
        return None
    try:
        return [float(part) for part in given.split(",")]
    except ValueError:
        raise RunError("weights are numbers", got=given, expected="0.2,0.3,0.5") from None


def parse_limits(given: Sequence[str]) -> tuple[int | None, dict[str, int]]:
    """`N` for every set, `AXIS=N` for one axis.

    Raises:
        RunError: something that is not a whole number.
    """
    overall, limits = None, {}
    for text in given:
        axis, mark, number = text.rpartition("=")
        try:
            value = int(number)
        except ValueError:
            raise RunError("a limit is a whole number", got=text, expected="N or AXIS=N") from None
        if mark:
            limits[axis] = value
        else:
            overall = value
    return overall, limits
