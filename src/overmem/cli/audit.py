"""`overmem audit`: measure every checkpoint of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from overmem.cli.options import (
    BaseModel,
    Device,
    Dtype,
    Grader,
    MaxNewTokens,
    Out,
    Plan,
    RunArg,
    Seed,
    Train,
    Val,
    parse_limits,
    parse_ood,
    parse_variants,
)
from overmem.cli.screen import console, say

if TYPE_CHECKING:
    from overmem.auditing.run import Audit


def audit(
    run: RunArg,
    val: Val = None,
    train: Train = None,
    axes: Annotated[
        str, typer.Option(help="all, or some of: likelihood,accuracy,calibration,diversity,...")
    ] = "likelihood,accuracy",
    ood: Annotated[
        list[str] | None, typer.Option(help="NAME=SOURCE: problems of another distribution; repeatable.")
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(help="Perturbation of val: a built-in NAME, or NAME=FILE; all built-ins by default."),
    ] = None,
    checkpoints: Annotated[
        str, typer.Option(help="Where axes beyond the first two are measured: key, all, or names.")
    ] = "key",
    limit: Annotated[
        list[str] | None,
        typer.Option(help="Most problems of each set, drawn by --seed; AXIS=N for one axis; repeatable."),
    ] = None,
    samples: Annotated[int, typer.Option(help="Answers to each problem, for the axes that sample.")] = 8,
    temperature: Annotated[float, typer.Option(help="Of those answers.")] = 0.8,
    budget: Annotated[
        float | None, typer.Option(help="Minutes to share out; what does not fit is measured less.")
    ] = None,
    until_decided: Annotated[
        bool,
        typer.Option("--until-decided", help="Stop answering once the rest would not change the verdict."),
    ] = False,
    plan: Plan = False,
    grader: Grader = None,
    max_new_tokens: MaxNewTokens = None,
    base_model: BaseModel = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    batch_tokens: Annotated[
        int | None, typer.Option(help="Most tokens of a batch; what fits the memory by default.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="Who writes the answers: hf, or a server, openai:http://HOST:PORT.")
    ] = "hf",
    engine_model: Annotated[
        str | None, typer.Option(help="What the server calls a checkpoint, with {name}, {path} or {step}.")
    ] = None,
    engine_on_demand: Annotated[
        bool, typer.Option("--engine-on-demand", help="The server loads any model it is asked for.")
    ] = False,
    engine_concurrency: Annotated[int, typer.Option(help="Most requests at once.")] = 16,
    engine_timeout: Annotated[float, typer.Option(help="Seconds that one request may take.")] = 600.0,
    template: Annotated[
        str | None, typer.Option(help="chat, plain or auto; the recipe's by default.")
    ] = None,
    prompt_format: Annotated[
        str | None, typer.Option(help="Text around the question, with {prompt}.")
    ] = None,
    show_prompt: Annotated[
        bool, typer.Option(help="Show the first example as the model sees it; stop.")
    ] = False,
    allow_pickle: Annotated[bool, typer.Option(help="Load .bin weights, which can run code.")] = False,
    trust_remote_code: Annotated[bool, typer.Option(help="Run model code from the hub.")] = False,
) -> None:
    """Measure every checkpoint: likelihood and accuracy, and with --axes what memorization costs."""
    from overmem.auditing.checkpoints import open_run

    found = open_run(run, allow_pickle=allow_pickle)
    from overmem.auditing import config as configuring
    from overmem.auditing import run as auditing
    from overmem.cli.progress import audit_progress, quiet_libraries
    from overmem.reporting.tables import render_plan

    quiet_libraries()
    overall, limits = parse_limits(limit or [])
    config = configuring.resolve_config(
        found,
        val=val,
        train=train,
        axes=axes,
        ood=parse_ood(ood or []),
        variants=parse_variants(variant or []),
        checkpoints=checkpoints,
        limit=overall,
        limits=limits,
        samples=samples,
        temperature=temperature,
        budget_minutes=budget,
        until_decided=until_decided,
        grader=grader,
        max_new_tokens=max_new_tokens,
        base_model=base_model,
        seed=seed,
        device=device,
        dtype=dtype,
        batch_tokens=batch_tokens,
        engine=engine,
        engine_model=engine_model,
        engine_on_demand=engine_on_demand,
        engine_concurrency=engine_concurrency,
        engine_timeout_seconds=engine_timeout,
        template=configuring.resolve_template(found, template, prompt_format),
        allow_pickle=allow_pickle,
        trust_remote_code=trust_remote_code,
    )
    screen = console()
    if show_prompt:
        say(screen, auditing.show_prompt(found, config))
        return
    if plan:
        session = auditing.open_session(found, config, out)
        render_plan(auditing.make_timed_plan(session, dict(found.skipped)), screen)
        return
    with audit_progress(screen, found) as progress:
        done = auditing.measure(
            found, config, out=out, progress=progress, on_plan=lambda made: render_plan(made, screen)
        )
    _say_measured(done, screen)
    say(screen, f"next:    overmem diagnose {out or run}")


def _say_measured(done: Audit, screen: Console) -> None:
    """What was measured, what was not, and where it is."""
    from overmem.diagnosis.spoken import until_decided_text

    for name, split in done.manifest["splits"].items():
        found = f"{split['shape']}; {split['n']} examples, grader {split['grader']}"
        say(screen, f"{name}: {split['source']}: {found}")
    for name, reason in done.skipped.items():
        say(screen, f"skipped {name}: {reason}")
    if stopping := done.manifest.get("until_decided"):
        say(screen, until_decided_text(stopping))
    if server := done.manifest.get("engine"):
        told = "with" if server["logprobs"] else "without"
        say(screen, f"engine: {server['url']}, prompts as {server['prompts']}, {told} log-probabilities")
    say(screen, f"audited: {done.store.root}")
