"""Options that commands share, and how those with a name are read: `--ood svamp=FILE`, `--limit ood=100`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from overmem.errors import RunError

RunArg = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder with checkpoint-<step>/ folders.")]
Out = Annotated[Path | None, typer.Option(help="Artifact folder; RUN/overmem by default.")]
Val = Annotated[str | None, typer.Option(help="Problems that decide; the run's recipe by default.")]
Train = Annotated[str | None, typer.Option(help="Training data, to measure memorization on.")]
Grader = Annotated[str | None, typer.Option(help="math, exact, choice, regex:..., python:m:f, none.")]
MaxNewTokens = Annotated[int | None, typer.Option(help="Longest answer.")]
BaseModel = Annotated[
    str | None, typer.Option(help="The model the fine-tune started from, if the run does not say.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Plan = Annotated[bool, typer.Option("--plan", help="Show the plan and its times; stop.")]
PerplexityRatio = Annotated[float, typer.Option(help="Perplexity over the lowest that is inflated.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


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
