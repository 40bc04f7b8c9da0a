"""Watching a run from the terminal: a line for each checkpoint that lands, verdict and report kept fresh."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from overmem.auditing.options import AuditOptions
from overmem.auditing.session import Progress
from overmem.auditing.watch import Update, watch
from overmem.cli.screen import say
from overmem.formatting import accuracy_text, certainty_text, estimate_text, shell_word
from overmem.records import Verdict
from overmem.reporting.run import report
from overmem.verdict.diagnose import diagnose


def follow(
    path: Path,
    screen: Console,
    options: AuditOptions,
    *,
    every: float,
    settle: float,
    idle_minutes: float | None,
    out: Path | None,
    progress: Progress,
) -> None:
    """Print what each look at the folder brought, until it is interrupted or nothing new comes.

    Args:
        path: run folder.
        screen: where to.
        options: what to measure and how.
        every: see `overmem.auditing.watch.watch`, as for the others.
        settle: seconds without a change.
        idle_minutes: without a new checkpoint.
        out: artifact folder; `PATH/overmem` by default.
        progress: told after every batch.
    """
    say(screen, f"watching {path}; stop with Ctrl-C, nothing is lost")
    try:
        for update in watch(
            path, options, every=every, settle=settle, idle_minutes=idle_minutes, out=out, progress=progress
        ):
            for name in update.gone:
                say(screen, f"{name} was deleted and is no longer compared; see save_total_limit")
            say(screen, _news(update, out or path))
    except KeyboardInterrupt:
        say(screen, f"stopped; what was measured is kept: overmem diagnose {shell_word(out or path)}")


def _news(update: Update, place: Path) -> str:
    names = ", ".join(update.new)
    if len(update.audit.manifest.checkpoints) < 2:
        return f"{names}: measured; a verdict needs two checkpoints"
    verdict = diagnose(update.audit)
    return f"{names}: {_stage(verdict)}; report: {report(place)}"


def _stage(verdict: Verdict) -> str:
    last = verdict.checkpoints[-1]
    stage = f"{last.stage} ({certainty_text(last.leaning, last.confidence)})"
    ship = f", ship {verdict.recommended.name}" if verdict.recommended is not None else ""
    return (
        f"{last.name} is {stage}, accuracy {accuracy_text(last.accuracy)}, "
        f"perplexity {estimate_text(last.perplexity)}{ship}"
    )
