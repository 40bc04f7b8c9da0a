"""`overmem plan` and `overmem audit`: what measuring every checkpoint would cost, and measuring them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from overmem.cli import options
from overmem.cli.screen import console, print_json, say

if TYPE_CHECKING:
    from overmem.auditing.run import Audit


def plan(
    run: options.RunArg,
    devices: Annotated[int, typer.Option(min=1, help="Devices to share the checkpoints.")] = 1,
    device_tflops: Annotated[
        float | None,
        typer.Option(help="Peak of another device, 10^12 operations/s: nothing is run here."),
    ] = None,
    device_gbps: Annotated[float | None, typer.Option(help="Its memory bandwidth, 10^9 bytes/s.")] = None,
    val: options.Val = None,
    train: options.Train = None,
    axes: options.Axes = None,
    ood: options.Ood = None,
    references: options.References = None,
    variant: options.Variants = None,
    checkpoints: options.Checkpoints = "key",
    limit: options.Limit = None,
    samples: options.Samples = 8,
    temperature: options.Temperature = 0.8,
    budget: options.Budget = None,
    until_decided: options.UntilDecided = False,
    grader: options.Grader = None,
    max_new_tokens: options.MaxNewTokens = None,
    base_model: options.BaseModel = None,
    out: options.Out = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    batch_tokens: options.BatchTokens = None,
    engine: options.Engine = "hf",
    engine_model: options.EngineModel = None,
    engine_on_demand: options.EngineOnDemand = False,
    engine_concurrency: options.EngineConcurrency = 16,
    engine_timeout: options.EngineTimeout = 600.0,
    template: options.TemplateKind = None,
    prompt_format: options.PromptFormat = None,
    completion_format: options.CompletionFormat = None,
    system: options.System = None,
    eos: options.Eos = None,
    allow_pickle: options.AllowPickle = False,
    trust_remote_code: options.TrustRemoteCode = False,
    allow_code_execution: options.AllowCodeExecution = False,
    json_: options.Json = False,
) -> None:
    """What an audit would cost: tokens, time and memory, from a batch or two of each kind of its work."""
    given = dict(locals())
    from overmem.checkpoints import open_run

    found = open_run(run, allow_pickle=allow_pickle)
    peaks = options.parse_peaks(device_tflops, device_gbps)
    from overmem.auditing.opening import open_session
    from overmem.auditing.planning.forecast import forecast
    from overmem.cli.progress import quiet_libraries
    from overmem.cli.views.plan import render_forecast

    quiet_libraries()
    session = open_session(found, options.audit_config(found, given), out)
    made = forecast(session, dict(found.skipped), peaks)
    if json_:
        print_json(made.to_dict(devices))
        return
    render_forecast(made, devices, console())


def audit(
    run: options.RunArg,
    val: options.Val = None,
    train: options.Train = None,
    axes: options.Axes = None,
    ood: options.Ood = None,
    references: options.References = None,
    variant: options.Variants = None,
    checkpoints: options.Checkpoints = "key",
    limit: options.Limit = None,
    samples: options.Samples = 8,
    temperature: options.Temperature = 0.8,
    budget: options.Budget = None,
    until_decided: options.UntilDecided = False,
    grader: options.Grader = None,
    max_new_tokens: options.MaxNewTokens = None,
    base_model: options.BaseModel = None,
    out: options.Out = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    batch_tokens: options.BatchTokens = None,
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
    completion_format: options.CompletionFormat = None,
    system: options.System = None,
    eos: options.Eos = None,
    show_prompt: Annotated[
        bool, typer.Option(help="Show the first example as the model sees it; stop.")
    ] = False,
    allow_pickle: options.AllowPickle = False,
    trust_remote_code: options.TrustRemoteCode = False,
    allow_code_execution: options.AllowCodeExecution = False,
) -> None:
    """Measure every checkpoint: likelihood and accuracy, and with --axes what memorization costs."""
    given = dict(locals())
    from overmem.checkpoints import open_run

    found = open_run(run, allow_pickle=allow_pickle)
    from overmem.auditing.opening import show_prompt as prompt_text
    from overmem.auditing.run import measure
    from overmem.cli.progress import audit_progress, quiet_libraries
    from overmem.cli.views.plan import render_plan

    quiet_libraries()
    config = options.audit_config(found, given)
    screen = console()
    if show_prompt:
        say(screen, prompt_text(found, config))
        return
    at_once = 1 if ray is None and workers is None else workers or len(found.checkpoints)
    with audit_progress(screen, found, at_once) as progress:
        done = measure(
            found,
            config,
            out=out,
            progress=progress,
            on_plan=lambda made: render_plan(made, screen),
            ray=ray,
            workers=workers,
        )
    _say_measured(done, screen)
    say(screen, f"next:    overmem diagnose {out or run}")


def _say_measured(done: Audit, screen: Console) -> None:
    """What was measured, what was not, and where it is."""
    from overmem.formatting import base_left_out_text, until_decided_text

    for name, split in done.manifest["splits"].items():
        found = f"{split['shape']}; {split['n']} examples, grader {split['grader']}"
        say(screen, f"{name}: {split['source']}: {found}")
    for name, reason in done.skipped.items():
        say(screen, f"skipped {name}: {reason}")
    if done.manifest.get("leaves_out_chat_template"):
        plain = "val is plain text and was asked without the tokenizer's chat template"
        say(screen, f"note: {plain}; if training used it, pass --template chat (see --show-prompt)")
    if why := done.manifest.get("base_left_out"):
        say(screen, f"note: {base_left_out_text(why)}")
    if stopping := done.manifest.get("until_decided"):
        say(screen, until_decided_text(stopping))
    if engine := done.manifest.get("engine"):
        say(screen, f"engine: {_engine_text(engine)}")
    say(screen, f"audited: {done.store.root}")


def _engine_text(engine: Mapping[str, Any]) -> str:
    if engine["kind"] == "vllm":
        return f"vLLM {engine['version']}"
    told = "with" if engine["logprobs"] else "without"
    return f"{engine['url']}, prompts as {engine['prompts']}, {told} log-probabilities"
