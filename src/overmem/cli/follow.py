"""Watching a run from the terminal: a line for each checkpoint that lands, verdict and report kept fresh."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from overmem.auditing.options import AuditOptions
from overmem.auditing.session import Progress
from overmem.auditing.watch import Update, watch
from overmem.cli.screen import say
from overmem.formatting import accuracy_text, certainty_text, estimate_text, shell_word
from overmem.records import Verdict
from overmem.reporting.run import report
from overmem.rule import Rule
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
    json_lines: bool = False,
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
        json_lines: print each look's outcome for programs, an object a line on standard output.
    """
    say(screen, f"watching {path}; stop with Ctrl-C, nothing is lost")
    try:
        for update in watch(
            path, options, every=every, settle=settle, idle_minutes=idle_minutes, out=out, progress=progress
        ):
            for name in update.gone:
                say(screen, f"{name} was deleted and is no longer compared; see save_total_limit")
            verdict, page = _judged(update, options.rule, out or path)
            say(screen, _news(update, verdict, page))
            if json_lines:
                told = {"new": update.new, "gone": update.gone, "report": page and str(page)}
                print(json.dumps({**told, "verdict": verdict and verdict.to_dict()}), flush=True)
    except KeyboardInterrupt:
        say(screen, f"stopped; what was measured is kept: overmem diagnose {shell_word(out or path)}")


def _judged(update: Update, rule: Rule, place: Path) -> tuple[Verdict | None, Path | None]:
    """The verdict and its page, written again; nothing while there is one checkpoint."""
    if len(update.audit.manifest.checkpoints) < 2:
        return None, None
    return diagnose(update.audit, rule), report(place)


def _news(update: Update, verdict: Verdict | None, page: Path | None) -> str:
    names = ", ".join(update.new)
    if verdict is None:
        return f"{names}: measured; a verdict needs two checkpoints"
    return f"{names}: {_stage(verdict)}; report: {page}"


def _stage(verdict: Verdict) -> str:
    last = verdict.checkpoints[-1]
    stage = f"{last.stage} ({certainty_text(last.leaning, last.confidence)})"
    ship = f", ship {verdict.recommended.name}" if verdict.recommended is not None else ""
    return (
        f"{last.name} is {stage}, accuracy {accuracy_text(last.accuracy)}, "
        f"perplexity {estimate_text(last.perplexity)}{ship}"
    )
