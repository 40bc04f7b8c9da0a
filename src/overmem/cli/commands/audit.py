"""`overmem plan` and `overmem audit`: what measuring every checkpoint would cost, and measuring them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from overmem.auditing.flags import audit_flags, read_flags
from overmem.auditing.options import check_alone
from overmem.checkpoints import open_run
from overmem.cli import options
from overmem.cli.options import takes_audit_flags
from overmem.cli.screen import console, print_json, say
from overmem.errors import OvermemError
from overmem.formatting import shell_word

if TYPE_CHECKING:
    from overmem.auditing.run import Audit


@takes_audit_flags(audit_flags())
def plan(
    run: options.RunArg,
    flags: Mapping[str, Any],
    devices: Annotated[int, typer.Option(min=1, help="Devices to share the checkpoints.")] = 1,
    device_tflops: Annotated[
        float | None,
        typer.Option(help="Peak of another device, 10^12 operations/s: nothing is run here."),
    ] = None,
    device_gbps: Annotated[float | None, typer.Option(help="Its memory bandwidth, 10^9 bytes/s.")] = None,
    out: options.Out = None,
    json_: options.Json = False,
) -> None:
    """What an audit would cost: tokens, time and memory, from a batch or two of each kind of its work."""
    found = open_run(run, allow_pickle=flags["allow_pickle"], checkpoints_glob=flags["checkpoints_glob"])
    if flags["checkpoints_glob"] is None:
        _name_several_runs(run)
    peaks = options.parse_peaks(device_tflops, device_gbps)
    from overmem.auditing.opening import open_session
    from overmem.auditing.planning.forecast import forecast
    from overmem.cli.progress import quiet_libraries
    from overmem.cli.views.plan import render_forecast

    quiet_libraries()
    asked = read_flags(found, flags)
    if devices > 1:
        check_alone(asked.device_map, f"--devices {devices}")
    session = open_session(found, asked, out)
    made = forecast(session, dict(found.skipped), peaks)
    if json_:
        print_json(made.to_dict(devices))
        return
    render_forecast(made, devices, console())


@takes_audit_flags(audit_flags())
def audit(
    run: options.RunArg,
    flags: Mapping[str, Any],
    out: options.Out = None,
    workers: options.Workers = None,
    ray: options.Ray = None,
    show_prompt: Annotated[
        bool, typer.Option(help="Show the first example's text, token ids and what is scored; stop.")
    ] = False,
    check_tokens: Annotated[
        str | None,
        typer.Option(help="Compare with rows that training tokenized (a file or folder); stop."),
    ] = None,
) -> None:
    """Measure every checkpoint: likelihood and accuracy, and with --axes what memorization costs."""
    found = open_run(run, allow_pickle=flags["allow_pickle"], checkpoints_glob=flags["checkpoints_glob"])
    if flags["checkpoints_glob"] is None:
        _name_several_runs(run)
    from overmem.auditing.opening import check_tokens as compare
    from overmem.auditing.opening import show_prompt as prompt_text
    from overmem.auditing.run import measure
    from overmem.auditing.run_files.training_files import find_training_file
    from overmem.cli.progress import audit_progress, quiet_libraries
    from overmem.cli.views.plan import render_plan

    quiet_libraries()
    asked = read_flags(found, flags)
    screen = console()
    if show_prompt:
        say(screen, prompt_text(found, asked))
        return
    if check_tokens is not None:
        compared = compare(found, asked, check_tokens)
        say(screen, str(compared))
        raise typer.Exit(0 if compared.all_same else 1)
    if (told := find_training_file(found.training_folder)) is not None:
        say(screen, str(told))
    at_once = 1 if ray is None and workers is None else workers or len(found.checkpoints)
    with audit_progress(screen, found, at_once) as progress:
        done = measure(
            found,
            asked,
            out=out,
            progress=progress,
            on_plan=lambda made: render_plan(made, screen),
            ray=ray,
            workers=workers,
        )
    _say_measured(done, screen)
    say(screen, f"next:    overmem diagnose {shell_word(out or run)}")


def _say_measured(done: Audit, screen: Console) -> None:
    """What was measured, what was not, and where it is."""
    from overmem.formatting import base_left_out_text, engine_text, until_decided_text

    manifest = done.manifest
    for name, reason in done.skipped.items():
        say(screen, f"skipped {name}: {reason}")
    if manifest.leaves_out_chat_template:
        plain = "val is plain text and was asked without the tokenizer's chat template"
        say(screen, f"note: {plain}; if training used it, pass --template chat (see --show-prompt)")
    if why := manifest.base_left_out:
        say(screen, f"note: {base_left_out_text(why)}")
    if stopping := manifest.until_decided:
        say(screen, until_decided_text(stopping))
    if engine := manifest.engine:
        say(screen, f"engine: {engine_text(engine)}")
    say(screen, f"audited: {done.store.root}")


def _name_several_runs(run: Path) -> None:
    """Say on standard error that the logs in a folder are of several runs, which would be measured as one."""
    from overmem.logs.judged import read_log
    from overmem.verdict.words.logged import TAKEN_FOR_ONE, strangers_text

    try:
        said = strangers_text(read_log(run), TAKEN_FOR_ONE)
    except OvermemError:  # no log, or one that cannot be read: an audit does without
        return
    if said:
        say(console(stderr=True), f"warning: {said}")
