"""`overmem report`: a verdict as a page, as Markdown or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from overmem.cli.options import RunArg
from overmem.cli.screen import console, say


def report(
    run: RunArg,
    format: Annotated[
        str, typer.Option(help="html (one page), md (for a pull request or model card) or json.")
    ] = "html",
    out: Annotated[
        Path | None,
        typer.Option(help="File; RUN/overmem/report.FORMAT by default, - prints md and json."),
    ] = None,
    push: Annotated[
        list[str] | None,
        typer.Option(
            help="Also to wandb, mlflow, trackio, tensorboard, card (the model's README.md), hub:USER/NAME; "
            "NAME:WHERE says which project or folder; repeatable."
        ),
    ] = None,
) -> None:
    """Write one self-contained HTML page, or Markdown or JSON, with the verdict and what it rests on."""
    from overmem.reporting.run import print_or_write

    written = print_or_write(run, out=out, format=format)
    if written is not None:
        say(console(), f"report: {written}")
    if push:
        from overmem.reporting.trackers.push import push_report

        for line in push_report(run, push):
            say(console(), line)
