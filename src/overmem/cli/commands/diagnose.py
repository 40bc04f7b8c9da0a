"""`overmem diagnose`, `compare` and `check`: what the measurements say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from overmem.cli.diagnosis import show_diagnosis
from overmem.cli.options import Full, Json, RunArg, split_runs, takes_rule
from overmem.cli.screen import console, print_json, tell
from overmem.rule import Rule


@takes_rule("accuracy_margin", "perplexity_ratio", "resamples", "seed")
def diagnose(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Run folder or training log; several run folders are judged as seeds of one recipe.",
        ),
    ],
    rule: Rule,
    full: Full = False,
    json_: Json = False,
) -> None:
    """Name each checkpoint's stage with its confidence, and recommend one.

    Examples:
        overmem diagnose outputs/
        overmem diagnose trainer_log.jsonl
        overmem diagnose outputs/ --full
        overmem diagnose seed-0/ seed-1/ seed-2/ --json
    """
    if len(runs) == 1:
        from overmem.verdict.diagnose import diagnose as diagnose_run

        verdict = diagnose_run(runs[0], rule, save=False)
    else:
        from overmem.verdict.seeds import diagnose_seeds

        verdict = diagnose_seeds(runs, rule)
    if json_:
        print_json(verdict.to_dict())
    else:
        show_diagnosis(verdict, runs, full=full)


@takes_rule(
    "accuracy_margin",
    "perplexity_ratio",
    "resamples",
    "seed",
    accuracy_margin="Accuracy difference that counts as equal.",
    resamples="Number of bootstrap draws.",
)
def compare(
    runs_a: Annotated[
        str, typer.Argument(metavar="A", help="Run folder, or several seeds of it joined by commas.")
    ],
    runs_b: Annotated[str, typer.Argument(metavar="B", help="The other run folder, or its seeds.")],
    rule: Rule,
    full: Full = False,
    json_: Json = False,
) -> None:
    """Say which of two audited runs is better: at their recommended checkpoints, and at equal accuracy.

    Examples:
        overmem compare outputs-a/ outputs-b/
        overmem compare outputs-a/ outputs-b/ --full
        overmem compare a/seed-0,a/seed-1 b/seed-0,b/seed-1 --json
    """
    from overmem.verdict.compare import compare as run_comparison

    found = run_comparison(split_runs(runs_a), split_runs(runs_b), rule=rule)
    if json_:
        print_json(found.to_dict())
        return
    from overmem.cli.views.tables import render_comparison

    render_comparison(found, console(), full=full)


@takes_rule("accuracy_margin", "perplexity_ratio")
def check(
    run: RunArg,
    rule: Rule,
    fail_on: Annotated[
        str | None,
        typer.Option(
            help="Stages that fail; by default over-memorized,overfit, and for the recommended "
            "checkpoint also unstable. Joined by commas."
        ),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(help="Checkpoint to check: last, recommended, or a name.")
    ] = "last",
    max_auroc: Annotated[
        float | None, typer.Option(help="Also fail if the AUROC of the worst membership attack is higher.")
    ] = None,
    max_recall: Annotated[
        float | None,
        typer.Option(
            help="Also fail if that attack finds a larger share of the training data at 1% false alarms."
        ),
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Compare every byte of the weights with the audit, not only sampled blocks."
        ),
    ] = False,
    json_: Json = False,
) -> None:
    """A gate for CI: exit code 0 if the checkpoint passes, 1 if it fails, 2 if it cannot be told.

    Examples:
        overmem check outputs/
        overmem check outputs/ --checkpoint recommended --max-auroc 0.7
    """
    from overmem.verdict.gate import check as run_check

    gate = run_check(
        run,
        rule=rule,
        fail_on=None if fail_on is None else tuple(filter(None, fail_on.split(","))),
        checkpoint=checkpoint,
        max_auroc=max_auroc,
        max_recall=max_recall,
        full=full,
    )
    if json_:
        print_json({"passed": gate.passed, "reason": gate.reason})
    else:
        tell(console(), ("passed: " if gate.passed else "failed: ") + gate.reason)
    if not gate.passed:
        raise typer.Exit(1)
