"""`overmem demo`: the whole flow on the bundled tiny model, told to a newcomer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from overmem.cli.options import Seed
from overmem.cli.screen import console
from overmem.records import Repair, Verdict

LIMITS = {
    "calibration": 60,
    "diversity": 60,
    "ood": 60,
    "recall": 60,
    "retention": 40,
    "robustness": 60,
}
"""Problems of the axes that write many answers, so that the demo stays short."""
CONFIRM = "wordmath:test[:400]"
"""Problems for the proof of a repair alone."""


def demo(
    folder: Annotated[Path, typer.Argument(help="Run folder to write; an existing one is continued.")] = Path(
        "demo/run"
    ),
    seed: Seed = 0,
) -> None:
    """Train the bundled tiny model until it over-memorizes, then audit, diagnose and report.

    Examples:
        overmem demo
        overmem demo my-demo --seed 1
    """
    run_demo(folder, seed, console())


def run_demo(folder: Path, seed: int, screen: Console) -> None:
    """Train, audit, diagnose, repair and report the recipe `demo` in `folder`; continues what was begun."""
    from overmem.extras import check_extra

    check_extra("train", "overmem demo")  # before torch is loaded
    from overmem.auditing.options import AuditOptions
    from overmem.auditing.resolve import resolve_options
    from overmem.auditing.run import measure
    from overmem.checkpoints import open_run
    from overmem.cli.progress import audit_progress, model_progress, quiet_libraries, training_progress
    from overmem.cli.views.plan import render_plan
    from overmem.cli.views.repair import render_repair
    from overmem.cli.views.verdict import render_verdict
    from overmem.recipe.reading import load_recipe
    from overmem.repairing.run import repair
    from overmem.reporting.run import report
    from overmem.training.trainer import train
    from overmem.verdict.diagnose import diagnose

    quiet_libraries()
    start = time.monotonic()
    recipe = load_recipe("demo", {"output": str(folder), "seed": seed})
    _say(
        screen,
        "overmem demo: fine-tune a tiny reasoner (2M parameters) on 400 word problems for "
        f"{recipe.training['num_train_epochs']} epochs, keep a checkpoint an epoch, "
        "and ask which one to ship.\n",
    )
    _say(screen, f"1. overmem train demo --out {folder}")
    _say(screen, "   (while it trains: perplexity on problems it never sees, as the monitor reads it)")
    with training_progress(screen) as progress:
        train(recipe, resume=True, progress=progress, watch=progress.watch)
    limits = " ".join(f"--limit {axis}={n}" for axis, n in LIMITS.items())
    _say(screen, f"\n2. overmem audit {folder} --only-measure --axes all {limits}")
    run = open_run(folder)
    options = resolve_options(run, AuditOptions(axes=("all",), limits=LIMITS))
    with audit_progress(screen, run) as progress:
        done = measure(run, options, progress=progress, on_plan=lambda plan: render_plan(plan, screen))
    _say(screen, f"\n3. overmem diagnose {folder}\n")
    verdict = diagnose(done)
    render_verdict(verdict, screen)
    _say(screen, f"\n4. overmem repair {folder} --confirm {CONFIRM}")
    with model_progress(screen, "repair") as progress:
        repaired = repair(folder, confirm=CONFIRM, progress=progress)
    screen.print()
    render_repair(repaired, screen)
    _say(screen, f"\n5. overmem report {folder}")
    page = report(folder)
    _say(screen, closing(verdict, repaired, page, time.monotonic() - start))


def closing(verdict: Verdict, repaired: Repair, page: Path, seconds: float) -> str:
    """What happened, in a newcomer's words, and what to type next."""
    last, shipped = verdict.checkpoints[-1], verdict.recommended
    lines = [f"   report: {page}  (open it in a browser)", ""]
    if shipped is not None and shipped.name != last.name:
        best = next(c for c in verdict.checkpoints if c.name == shipped.name)
        lines += [
            f"What happened: training on to {last.name} raised test perplexity by "
            f"{last.perplexity.value / best.perplexity.value - 1:.0%} over {best.name}, "
            f"while accuracy went from {best.accuracy.value:.1%} to {last.accuracy.value:.1%}. "
            f"{_what_it_cost(verdict)}{_what_to_ship(repaired)}",
            "",
        ]
    lines += [
        f"All of it took {seconds:.0f} s. On your own run:",
        "   overmem audit outputs/ --val val.jsonl --train train.jsonl",
        "   overmem repair outputs/",
    ]
    return "\n".join(lines)


def _what_it_cost(verdict: Verdict) -> str:
    """The axes whose headline is clearly worse, in a sentence; empty when there is none."""
    against = verdict.costs[0].against if verdict.costs else None
    worse = [c.axis for c in verdict.costs if c.against == against and c.headline and c.outcome == "worse"]
    return f"What accuracy does not show: worse in {', '.join(worse)}. " if worse else ""


def _what_to_ship(repaired: Repair) -> str:
    if repaired.model is not None:
        return f"A merge proved better than any checkpoint: ship {repaired.model}."
    return f"No merge proved better: ship {repaired.before}."


def _say(screen: Console, text: str) -> None:
    screen.print(text)
