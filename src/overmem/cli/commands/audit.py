"""`overmem plan` and `overmem audit`: what measuring every checkpoint would cost, and measuring them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from overmem.auditing.flags.declared import audit_flags
from overmem.auditing.options import AuditOptions, check_alone
from overmem.auditing.resolve import data_read_ahead
from overmem.cli import options
from overmem.cli.options import open_asked, takes_audit_flags
from overmem.cli.screen import console, print_json, say
from overmem.errors import OvermemError
from overmem.formatting import shell_word
from overmem.records import Run

if TYPE_CHECKING:
    from overmem.auditing.run import Audit


@takes_audit_flags(audit_flags())
def plan(
    run: options.RunArg,
    flags: Mapping[str, Any],
    devices: Annotated[
        int, typer.Option(min=1, help="Number of devices among which checkpoints are shared.")
    ] = 1,
    device_tflops: Annotated[
        float | None,
        typer.Option(help="Peak of another device in 10^12 operations/s; then nothing is run here."),
    ] = None,
    device_gbps: Annotated[
        float | None, typer.Option(help="Memory bandwidth of that device in 10^9 bytes/s.")
    ] = None,
    out: options.Out = None,
    json_: options.Json = False,
) -> None:
    """Show what an audit would cost in tokens, time and memory; a batch or two of each kind is measured.

    Examples:
        overmem plan outputs/ --val val.jsonl --train train.jsonl
        overmem plan outputs/ --axes all --budget 60
        overmem plan outputs/ --device-tflops 990 --device-gbps 4800
    """
    found, asked = open_asked(run, flags)
    if asked.checkpoints_glob is None:
        _name_several_runs(run)
    peaks = options.parse_peaks(device_tflops, device_gbps)
    if devices > 1:
        check_alone(asked.device_map, f"--devices {devices}")
    with data_read_ahead(asked):
        from overmem.auditing.opening import open_session
        from overmem.auditing.planning.forecast import forecast
        from overmem.cli.progress import quiet_libraries
        from overmem.cli.views.plan import render_forecast

        quiet_libraries()
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
    only_measure: Annotated[
        bool, typer.Option("--only-measure", help="Only measure: no verdict and no page.")
    ] = False,
    workers: options.Workers = None,
    ray: options.Ray = None,
    show_prompt: Annotated[
        bool,
        typer.Option(
            "--show-prompt",
            help="Only show the first problem: its text, its token ids, and which are scored.",
        ),
    ] = False,
    check_tokens: Annotated[
        str | None,
        typer.Option(help="Only compare with the rows that training tokenized (file or folder)."),
    ] = None,
    json_: options.Json = False,
) -> None:
    """Measure every checkpoint, name its stage, say which one to ship, and write the page.

    Examples:
        overmem audit outputs/ --val val.jsonl --train train.jsonl
        overmem audit outputs/ --axes all --limit 200
        overmem audit outputs/ --show-prompt
    """
    found, asked = open_asked(run, flags)
    if asked.checkpoints_glob is None:
        _name_several_runs(run)
    screen = console(stderr=json_)
    with data_read_ahead(asked):
        from overmem.cli.progress import quiet_libraries

        quiet_libraries()
        if show_prompt or check_tokens is not None:
            _look_at_tokens(found, asked, check_tokens, json_)
            return
        done = _measure(found, asked, out, screen, workers, ray)
    from overmem.cli.conclude import conclude, render_conclusion

    _say_measured(done, screen)
    place = out or run
    concluded = None if only_measure else conclude(done, asked.rule, place)
    if json_:
        told = {} if concluded is None else concluded.to_dict()
        print_json({"audited": str(done.store.root), "skipped": dict(done.skipped), **told})
    elif concluded is None:
        say(screen, f"next:    overmem diagnose {shell_word(place)}")
    else:
        render_conclusion(concluded, place, screen)


def _look_at_tokens(found: Run, asked: AuditOptions, check_tokens: str | None, json_: bool) -> None:
    """Show what is scored, or compare it with what training tokenized; exit code 1 where they differ."""
    from overmem.auditing.opening import check_tokens as compare
    from overmem.auditing.opening import show_prompt as prompt_text

    compared = None if check_tokens is None else compare(found, asked, check_tokens)
    text = prompt_text(found, asked) if compared is None else str(compared)
    if json_:
        same = {} if compared is None else {"all_same": compared.all_same}
        print_json({"text": text, **same})
    else:
        say(console(), text)
    if compared is not None and not compared.all_same:
        raise typer.Exit(1)


def _measure(
    found: Run,
    asked: AuditOptions,
    out: Path | None,
    screen: Console,
    workers: int | None,
    ray: str | None,
) -> Audit:
    from overmem.auditing.run import measure
    from overmem.auditing.run_files.training_files import find_training_file
    from overmem.cli.progress import audit_progress
    from overmem.cli.views.plan import render_plan

    if (told := find_training_file(found.training_folder)) is not None:
        say(screen, str(told))
    at_once = 1 if ray is None and workers is None else workers or len(found.checkpoints)
    with audit_progress(screen, found, at_once) as progress:
        return measure(
            found,
            asked,
            out=out,
            progress=progress,
            on_plan=lambda made: render_plan(made, screen),
            ray=ray,
            workers=workers,
        )


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
