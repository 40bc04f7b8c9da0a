"""Subcommands in the order of the flow: train, plan, audit, diagnose, compare, merge, repair, report, ...

Heavy libraries are imported inside the commands that need them, so that `--help` and the torch-free
stages start at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from overmem.cli import options
from overmem.errors import OvermemError

app = typer.Typer(
    help="Find, explain and fix over-memorization in LLM fine-tuning.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

RunArg = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder with checkpoint-<step>/ folders.")]
Out = Annotated[Path | None, typer.Option(help="Artifact folder; RUN/overmem by default.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def main() -> None:
    """Run the command line; a user's error prints one message and exits with code 2."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app(standalone_mode=True)
    except OvermemError as error:
        print(f"overmem: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"overmem: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        sys.exit(2)


def console() -> Console:
    """Where people read: standard output, of the first process where a launcher started several."""
    return Console(highlight=False, quiet=os.environ.get("RANK", "0") != "0")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Path of a YAML recipe, or a bundled one: organism-fast.")],
    output: Annotated[str | None, typer.Option(help="Run folder; overrides the recipe's.")] = None,
    model: Annotated[str | None, typer.Option(help="Hub id or folder; overrides model.name.")] = None,
    seed: Annotated[int | None, typer.Option(help="Overrides the recipe's seed.")] = None,
    loss: Annotated[
        str | None, typer.Option(help="nll, mar, focal, dft, eaft, talr, goldfish, label_smoothing, gem.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key: training.learning_rate=1e-4.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue a run that was stopped.")] = False,
) -> None:
    """Fine-tune as a recipe says, with checkpoints in the ordinary Hugging Face layout."""
    from overmem.training.recipe import load_recipe, parse_override

    overrides = dict(map(parse_override, set_ or []))
    if model is not None:
        overrides |= {"model.name": model, "model.gguf_file": None}
    given = {"output": output, "seed": seed, "loss": loss}
    overrides |= {key: value for key, value in given.items() if value is not None}
    checked = load_recipe(recipe, overrides)
    from overmem.cli.progress import quiet_libraries, training_progress
    from overmem.training.trainer import train as run_training

    quiet_libraries()
    with training_progress(console()) as progress:
        path = run_training(checked, resume=resume, progress=progress, watch=progress.watch)
    console().print(f"trained: {path}\nnext:    overmem audit {path}", soft_wrap=True)


@app.command()
def plan(
    run: RunArg,
    devices: Annotated[int, typer.Option(min=1, help="Devices to share the checkpoints.")] = 1,
    device_tflops: Annotated[
        float | None,
        typer.Option(help="Peak of another device, 10^12 operations/s: nothing is run here."),
    ] = None,
    device_gbps: Annotated[float | None, typer.Option(help="Its memory bandwidth, 10^9 bytes/s.")] = None,
    val: options.Val = None,
    train: options.Train = None,
    axes: options.Axes = "likelihood,accuracy",
    ood: options.Ood = None,
    variant: options.Variants = None,
    checkpoints: options.Checkpoints = "key",
    limit: options.Limit = None,
    samples: options.Samples = 8,
    temperature: options.Temperature = 0.8,
    budget: options.Budget = None,
    grader: options.Grader = None,
    max_new_tokens: options.MaxNewTokens = None,
    base_model: options.BaseModel = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: options.Dtype = "auto",
    batch_tokens: options.BatchTokens = 8192,
    engine: options.Engine = "hf",
    engine_model: options.EngineModel = None,
    engine_on_demand: options.EngineOnDemand = False,
    engine_concurrency: options.EngineConcurrency = 16,
    engine_timeout: options.EngineTimeout = 600.0,
    template: options.TemplateKind = None,
    prompt_format: options.PromptFormat = None,
    allow_pickle: options.AllowPickle = False,
    trust_remote_code: options.TrustRemoteCode = False,
    json_: Json = False,
) -> None:
    """What an audit would cost: tokens, time and memory, from a batch or two of each kind of its work."""
    given = dict(locals())
    from overmem.auditing.checkpoints import open_run

    found = open_run(run, allow_pickle=allow_pickle)
    peaks = options.parse_peaks(device_tflops, device_gbps)
    from overmem.auditing.forecast import forecast
    from overmem.auditing.run import open_session
    from overmem.cli.progress import quiet_libraries
    from overmem.reporting.tables import render_forecast

    quiet_libraries()
    session = open_session(found, options.audit_config(found, given), out)
    made = forecast(session, dict(found.skipped), peaks)
    if json_:
        _print_json(made.to_dict(devices))
        return
    render_forecast(made, devices, console())


@app.command()
def audit(
    run: RunArg,
    val: options.Val = None,
    train: options.Train = None,
    axes: options.Axes = "likelihood,accuracy",
    ood: options.Ood = None,
    variant: options.Variants = None,
    checkpoints: options.Checkpoints = "key",
    limit: options.Limit = None,
    samples: options.Samples = 8,
    temperature: options.Temperature = 0.8,
    budget: options.Budget = None,
    grader: options.Grader = None,
    max_new_tokens: options.MaxNewTokens = None,
    base_model: options.BaseModel = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: options.Dtype = "auto",
    batch_tokens: options.BatchTokens = 8192,
    workers: Annotated[
        int | None, typer.Option(help="Measure so many checkpoints at once, one on each device (Ray).")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="The workers' cluster: auto, HOST:PORT; local starts one here.")
    ] = None,
    engine: options.Engine = "hf",
    engine_model: options.EngineModel = None,
    engine_on_demand: options.EngineOnDemand = False,
    engine_concurrency: options.EngineConcurrency = 16,
    engine_timeout: options.EngineTimeout = 600.0,
    template: options.TemplateKind = None,
    prompt_format: options.PromptFormat = None,
    show_prompt: Annotated[
        bool, typer.Option(help="Show the first example as the model sees it; stop.")
    ] = False,
    allow_pickle: options.AllowPickle = False,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Measure every checkpoint: likelihood and accuracy, and with --axes what memorization costs."""
    given = dict(locals())
    from overmem.auditing.checkpoints import open_run

    found = open_run(run, allow_pickle=allow_pickle)
    from overmem.auditing import run as auditing
    from overmem.cli.progress import audit_progress, quiet_libraries
    from overmem.reporting.tables import render_plan

    quiet_libraries()
    config = options.audit_config(found, given)
    screen = console()
    if show_prompt:
        screen.print(auditing.show_prompt(found, config), markup=False, soft_wrap=True)
        return
    at_once = 1 if ray is None and workers is None else workers or len(found.checkpoints)
    with audit_progress(screen, found, at_once) as progress:
        done = auditing.measure(
            found,
            config,
            out=out,
            progress=progress,
            on_plan=lambda made: render_plan(made, screen),
            ray=ray,
            workers=workers,
        )
    for name, split in done.manifest["splits"].items():
        said = f"{name}: {split['source']}: {split['shape']}; {split['n']} examples, grader {split['grader']}"
        screen.print(said, markup=False, soft_wrap=True)
    for name, reason in done.skipped.items():
        screen.print(f"skipped {name}: {reason}", markup=False, soft_wrap=True)
    if server := done.manifest.get("engine"):
        told = "with" if server["logprobs"] else "without"
        said = f"engine: {server['url']}, prompts as {server['prompts']}, {told} log-probabilities"
        screen.print(said, markup=False, soft_wrap=True)
    screen.print(f"audited: {done.store.root}", markup=False, soft_wrap=True)
    screen.print(f"next:    overmem diagnose {out or run}", markup=False, soft_wrap=True)


@app.command()
def diagnose(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folder; several seeds are judged as one.")
    ],
    accuracy_margin: Annotated[float, typer.Option(help="Accuracy below the peak still comparable.")] = 0.03,
    perplexity_ratio: Annotated[
        float, typer.Option(help="Perplexity over the lowest that is inflated.")
    ] = 1.10,
    resamples: Annotated[int, typer.Option(help="Draws of the true curves.")] = 2000,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Name each checkpoint's stage with its confidence, and recommend one."""
    from overmem.diagnosis.run import diagnose as run_diagnosis
    from overmem.diagnosis.seeds import diagnose_seeds

    settings: dict[str, Any] = {
        "accuracy_margin": accuracy_margin,
        "perplexity_ratio": perplexity_ratio,
        "resamples": resamples,
        "seed": seed,
    }
    verdict = run_diagnosis(runs[0], **settings) if len(runs) == 1 else diagnose_seeds(runs, **settings)
    if json_:
        _print_json(verdict.to_dict())
        return
    from overmem.reporting.terminal import render_verdict

    render_verdict(verdict, console())
    if len(runs) == 1:
        console().print(f"\nnext: overmem report {runs[0]}", markup=False, soft_wrap=True)


@app.command()
def compare(
    runs_a: Annotated[str, typer.Argument(metavar="A", help="Run folder; several seeds joined by commas.")],
    runs_b: Annotated[str, typer.Argument(metavar="B", help="The other run, or its seeds.")],
    accuracy_margin: Annotated[float, typer.Option(help="Accuracy difference that counts as equal.")] = 0.03,
    resamples: Annotated[int, typer.Option(help="Bootstrap draws.")] = 2000,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Compare two audited runs at matched accuracy, on every axis both have."""
    from overmem.diagnosis.compare import compare_runs

    found = compare_runs(
        [Path(name) for name in runs_a.split(",")],
        [Path(name) for name in runs_b.split(",")],
        accuracy_margin=accuracy_margin,
        resamples=resamples,
        seed=seed,
    )
    if json_:
        _print_json(found.to_dict())
        return
    from overmem.reporting.tables import render_comparison

    render_comparison(found, console())


@app.command()
def merge(
    checkpoints: Annotated[
        list[Path], typer.Argument(metavar="CHECKPOINT...", help="Two or more folders, the earlier first.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to make; it must not exist.")],
    method: Annotated[
        str, typer.Option(help="pair, wise, soup, linear, ema, slerp; ties and dare through mergekit.")
    ] = "pair",
    weights: Annotated[str | None, typer.Option(help="For linear: one a checkpoint, as 0.2,0.3,0.5.")] = None,
    alpha: Annotated[float | None, typer.Option(help="For wise and slerp: share of the second.")] = None,
    decay: Annotated[float | None, typer.Option(help="For ema: share kept at every checkpoint.")] = None,
    rank: Annotated[
        int | None, typer.Option(help="Largest rank of a merged adapter; exact if left out.")
    ] = None,
    into_full: Annotated[
        bool, typer.Option("--into-full", help="Merge adapters into their base model.")
    ] = False,
    base_model: Annotated[str | None, typer.Option(help="Base of the adapters, if it has moved.")] = None,
    allow_different_tokenizers: Annotated[
        bool, typer.Option("--allow-different-tokenizers", help="Keep the last checkpoint's tokenizer.")
    ] = False,
) -> None:
    """Average checkpoints of one fine-tune into an ordinary model or adapter folder."""
    from overmem.cli.options import parse_weights
    from overmem.repairing.merge import merge as run_merge

    path = run_merge(
        checkpoints,
        out,
        method=method,
        weights=parse_weights(weights),
        alpha=alpha,
        decay=decay,
        rank=rank,
        into_full=into_full,
        base_model=base_model,
        allow_different_tokenizers=allow_different_tokenizers,
    )
    console().print(f"merged: {path}  (how it was made: {path / 'README.md'})", markup=False, soft_wrap=True)


@app.command()
def repair(
    run: RunArg,
    confirm: Annotated[
        str | None, typer.Option(help="Problems for the proof alone; half of val by default.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(help="Checkpoint to beat; the recommended one by default.")
    ] = None,
    axes: Annotated[str, typer.Option(help="What the proof measures; see audit.")] = "all",
    few: Annotated[int, typer.Option(help="Merges whose answers are measured.")] = 4,
    budget: Annotated[
        float | None, typer.Option(help="Minutes to share out; what does not fit is left out.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show the plan and its times; stop.")] = False,
    accuracy_margin: Annotated[float, typer.Option(help="Loss of accuracy that counts as none.")] = 0.03,
    perplexity_ratio: Annotated[
        float, typer.Option(help="Perplexity over the lowest that is inflated.")
    ] = 1.10,
    audit: Annotated[Path | None, typer.Option(help="Artifact folder; RUN/overmem by default.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the model; RUN/overmem/repaired by default.")
    ] = None,
    json_: Json = False,
) -> None:
    """Search the merges of an audited run for one that beats its best checkpoint, and prove it."""
    from overmem.cli.progress import model_progress, quiet_libraries
    from overmem.repairing.plan import plan_repair
    from overmem.repairing.run import carry_out, refuse_existing
    from overmem.repairing.setup import set_up
    from overmem.reporting.repairs import render_repair, render_repair_plan

    quiet_libraries()
    refuse_existing(out)
    setup = set_up(
        run,
        audit=audit,
        before=before,
        confirm=confirm,
        axes=axes,
        accuracy_margin=accuracy_margin,
        perplexity_ratio=perplexity_ratio,
    )
    planned = plan_repair(setup, few=few, budget_minutes=budget)
    screen = console()
    if not json_:
        render_repair_plan(setup, planned, screen)
    elif plan:
        _print_json(planned.to_dict() | {"before": setup.before.name})
    if plan:
        return
    quiet = Console(file=sys.stderr, highlight=False) if json_ else screen
    with model_progress(quiet, "repair") as progress:
        found = carry_out(setup, planned, out=out, accuracy_margin=accuracy_margin, progress=progress)
    if json_:
        _print_json(found.to_dict())
        return
    render_repair(found, screen)


@app.command()
def report(
    run: RunArg,
    format: Annotated[
        str, typer.Option(help="html (one page), md (for a pull request or model card) or json.")
    ] = "html",
    out: Annotated[
        Path | None,
        typer.Option(help="File; RUN/overmem/report.FORMAT by default, - prints md and json."),
    ] = None,
) -> None:
    """Write one self-contained HTML page, or Markdown or JSON, with the verdict and what it rests on."""
    from overmem.reporting.run import print_or_write

    written = print_or_write(run, out=out, format=format)
    if written is not None:
        console().print(f"report: {written}", markup=False, soft_wrap=True)


@app.command()
def watch(
    run: RunArg,
    val: Annotated[
        str | None, typer.Option(help="Problems that decide; the run's recipe by default.")
    ] = None,
    train: Annotated[str | None, typer.Option(help="Training data, to measure memorization on.")] = None,
    limit: Annotated[int | None, typer.Option(help="Most problems of each set, drawn by --seed.")] = None,
    every: Annotated[float, typer.Option(help="Seconds between looks at the folder.")] = 30.0,
    settle: Annotated[float, typer.Option(help="Seconds without a change: a checkpoint is whole.")] = 10.0,
    idle: Annotated[
        float | None, typer.Option(help="Minutes without a new checkpoint after which to stop.")
    ] = None,
    grader: Annotated[
        str | None, typer.Option(help="math, exact, choice, regex:..., python:m:f, none.")
    ] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Longest answer.")] = None,
    base_model: Annotated[
        str | None, typer.Option(help="The model the fine-tune started from, if the run does not say.")
    ] = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")] = "auto",
) -> None:
    """Follow a folder where checkpoints are being saved: audit each, and keep verdict and report fresh."""
    from overmem.cli.progress import model_progress, quiet_libraries
    from overmem.cli.watch import follow

    quiet_libraries()
    screen = console()
    with model_progress(screen, "audit") as progress:
        follow(
            run,
            screen,
            every=every,
            settle=settle,
            idle_minutes=idle,
            out=out,
            progress=progress,
            val=val,
            train=train,
            limit=limit,
            grader=grader,
            max_new_tokens=max_new_tokens,
            base_model=base_model,
            seed=seed,
            device=device,
            dtype=dtype,
        )


@app.command()
def check(
    run: RunArg,
    fail_on: Annotated[
        str, typer.Option(help="Stages that fail, joined by commas: over-memorized,overfit,undetermined.")
    ] = "over-memorized,overfit",
    checkpoint: Annotated[str, typer.Option(help="last, recommended, or a name.")] = "last",
) -> None:
    """A gate for CI: exit code 0 if the checkpoint passes, 1 if its stage fails, 2 if it cannot be told."""
    from overmem.diagnosis.gate import check_verdict
    from overmem.diagnosis.run import diagnose as run_diagnosis

    gate = check_verdict(run_diagnosis(run), tuple(filter(None, fail_on.split(","))), checkpoint)
    console().print(("passed: " if gate.passed else "failed: ") + gate.reason, markup=False, soft_wrap=True)
    if not gate.passed:
        raise typer.Exit(1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the run goes; continued if it exists.")] = Path(
        "demo/run"
    ),
    seed: Seed = 0,
) -> None:
    """Train the bundled tiny model until it over-memorizes, then audit, diagnose and report."""
    from overmem.cli.demo import run_demo

    run_demo(folder, seed, console())


def _print_json(record: dict[str, Any]) -> None:
    import json

    print(json.dumps(record, indent=1))
