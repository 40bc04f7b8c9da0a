"""`overmem report`: a verdict as a page, as Markdown or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from overmem.cli.options import Json, RunArg
from overmem.cli.screen import console, print_json, say


def report(
    run: RunArg,
    format: Annotated[
        str, typer.Option(help="html (one page), md (for a pull request or model card) or json.")
    ] = "html",
    out: Annotated[
        Path | None,
        typer.Option(help="File; RUN/overmem/report.FORMAT by default, - prints md and json."),
    ] = None,
    json_: Json = False,
) -> None:
    """Write one self-contained HTML page, or Markdown or JSON, with the verdict and what it rests on.

    Examples:
        overmem report outputs/
        overmem report outputs/ --format md --out -
    """
    from overmem.reporting.run import print_or_write

    written = print_or_write(run, out=out, format=format)
    if written is not None and json_:
        print_json({"report": str(written), "format": format})
    elif written is not None:
        say(console(), f"report: {written}")
