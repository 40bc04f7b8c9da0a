"""`overmem report`: a verdict as a page, as Markdown or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from overmem.cli.options import Json, RunArg, saved_options
from overmem.cli.screen import console, print_json, say
from overmem.rule import Rule


def report(
    run: RunArg,
    format: Annotated[
        str, typer.Option(help="html (one page), md (for a pull request or a model card) or json.")
    ] = "html",
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; RUN/overmem/report.FORMAT by default; - prints md or json."),
    ] = None,
    push: Annotated[
        list[str] | None,
        typer.Option(
            help="Also send to wandb, mlflow, trackio, tensorboard, card (the model's README.md) or "
            "hub:USER/NAME; NAME:WHERE names a project or folder; can be repeated."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Write one self-contained HTML page, or Markdown or JSON, with the verdict and what it rests on.

    Examples:
        overmem report outputs/
        overmem report outputs/ --format md --out -
        overmem report outputs/ --push tensorboard --push card
    """
    from overmem.reporting.run import print_or_write

    _judge_by_the_runs_rule(run)
    written = print_or_write(run, out=out, format=format)
    pushed: list[str] = []
    if push:
        from overmem.reporting.trackers.push import push_report

        pushed = list(push_report(run, push))
    if json_ and (written is not None or pushed):
        print_json({"report": None if written is None else str(written), "format": format, "pushed": pushed})
        return
    if written is not None:
        say(console(), f"report: {written}")
    for line in pushed:
        say(console(), line)


def _judge_by_the_runs_rule(run: Path) -> None:
    """Save the verdict of a run that has none yet, where its `overmem.yaml` holds thresholds."""
    saved = saved_options(run, ("rule",))
    if not saved:
        return
    from overmem.verdict.diagnose import diagnose, find_store, save_verdict

    store = find_store(run)
    if not store.has_record("verdict"):
        save_verdict(diagnose(run, Rule(**saved["rule"]), save=False), store)
