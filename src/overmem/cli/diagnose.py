"""`overmem diagnose`, `compare` and `check`: what the measurements say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from overmem.cli.options import AccuracyMargin, Json, PerplexityRatio, RunArg, Seed
from overmem.cli.screen import console, print_json, say


def diagnose(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folder; several seeds are judged as one.")
    ],
    accuracy_margin: AccuracyMargin = 0.03,
    perplexity_ratio: PerplexityRatio = 1.10,
    resamples: Annotated[int, typer.Option(help="Draws of the true curves.")] = 2000,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Name each checkpoint's stage with its confidence, and recommend one."""
    from overmem.verdict.diagnose import diagnose as run_diagnosis
    from overmem.verdict.seeds import diagnose_seeds

    settings: dict[str, Any] = {
        "accuracy_margin": accuracy_margin,
        "perplexity_ratio": perplexity_ratio,
        "resamples": resamples,
        "seed": seed,
    }
    verdict = run_diagnosis(runs[0], **settings) if len(runs) == 1 else diagnose_seeds(runs, **settings)
    if json_:
        print_json(verdict.to_dict())
        return
    from overmem.cli.views.verdict import render_verdict

    render_verdict(verdict, console())
    if len(runs) == 1:
        say(console(), f"\nnext: overmem report {runs[0]}")


def compare(
    runs_a: Annotated[str, typer.Argument(metavar="A", help="Run folder; several seeds joined by commas.")],
    runs_b: Annotated[str, typer.Argument(metavar="B", help="The other run, or its seeds.")],
    accuracy_margin: Annotated[float, typer.Option(help="Accuracy difference that counts as equal.")] = 0.03,
    resamples: Annotated[int, typer.Option(help="Bootstrap draws.")] = 2000,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Compare two audited runs at matched accuracy, on every axis both have."""
    from overmem.verdict.compare import compare_runs

    found = compare_runs(
        [Path(name) for name in runs_a.split(",")],
        [Path(name) for name in runs_b.split(",")],
        accuracy_margin=accuracy_margin,
        resamples=resamples,
        seed=seed,
    )
    if json_:
        print_json(found.to_dict())
        return
    from overmem.cli.views.tables import render_comparison

    render_comparison(found, console())


def check(
    run: RunArg,
    fail_on: Annotated[
        str, typer.Option(help="Stages that fail, joined by commas: over-memorized,overfit,undetermined.")
    ] = "over-memorized,overfit",
    checkpoint: Annotated[str, typer.Option(help="last, recommended, or a name.")] = "last",
    accuracy_margin: AccuracyMargin = 0.03,
    perplexity_ratio: PerplexityRatio = 1.10,
) -> None:
    """A gate for CI: exit code 0 if the checkpoint passes, 1 if its stage fails, 2 if it cannot be told."""
    from overmem.verdict.diagnose import diagnose as run_diagnosis
    from overmem.verdict.gate import check_verdict, refuse_stale

    refuse_stale(run)
    verdict = run_diagnosis(
        run, save=False, accuracy_margin=accuracy_margin, perplexity_ratio=perplexity_ratio
    )
    gate = check_verdict(verdict, tuple(filter(None, fail_on.split(","))), checkpoint)
    say(console(), ("passed: " if gate.passed else "failed: ") + gate.reason)
    if not gate.passed:
        raise typer.Exit(1)
