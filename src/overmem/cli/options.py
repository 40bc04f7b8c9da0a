"""Options that commands share; those of an audit and of the rule are made from their records."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overmem.cli.screen import console, say
from overmem.errors import RunError
from overmem.formatting import spaced
from overmem.rule import Rule

if TYPE_CHECKING:
    from overmem.auditing.flags.declared import Flag
    from overmem.auditing.options import AuditOptions
    from overmem.auditing.planning.cost import Peaks
    from overmem.records import Run

RunArg = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run folder, which holds the checkpoints (docs/layouts.md).")
]
Out = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Folder for the results; RUN/overmem by default.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random choices.")]
Plan = Annotated[bool, typer.Option("--plan", help="Only show the plan and how long it takes.")]
Full = Annotated[
    bool, typer.Option("--full", help="Show every measure of every axis, not only the headlines.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Workers = Annotated[int | None, typer.Option(help="Number of parallel workers, one for each device (Ray).")]
Ray = Annotated[
    str | None, typer.Option(help="Ray cluster of the workers: auto, HOST:PORT, or local to start one here.")
]
LEAVE = "Permission to run code (never read from a file)"
AllowCodeExecution = Annotated[
    bool,
    typer.Option(
        "--allow-code-execution",
        help="Allow the grader `code` to run answers, in a sandbox (docs/code.md).",
        rich_help_panel=LEAVE,
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Allow model code that comes with the checkpoint or its base model.",
        rich_help_panel=LEAVE,
    ),
]
AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        help="Allow .bin weights, which can run code when they are loaded.",
        rich_help_panel=LEAVE,
    ),
]
OwnGrader = Annotated[
    str | None,
    typer.Option(
        "--grader",
        help="The audit's own grader, python:FILE.py:function, named again.",
        rich_help_panel=LEAVE,
    ),
]
OwnTemplate = Annotated[
    str | None,
    typer.Option(
        "--template",
        help="The audit's own template, python:... or axolotl:..., named again.",
        rich_help_panel=LEAVE,
    ),
]
Command = Callable[..., None]
RULE_HELP = {
    "accuracy_margin": "Loss of accuracy against the best that counts as equal.",
    "perplexity_ratio": "Perplexity, divided by the lowest, from which it is inflated.",
    "resamples": "Number of draws of the true curves.",
    "seed": "Seed of all random choices.",
}


def takes_rule(*names: str, **texts: str) -> Callable[[Command], Command]:
    """Give a command options for some thresholds of the rule; it takes them as one `rule`.

    What is not given is taken from the `overmem.yaml` of the runs that the command is given, where they have
    one; files that disagree are refused.

    Args:
        names: of the thresholds.
        texts: help where it is not the usual one.
    """

    def decorate(command: Command) -> Command:
        options = [
            _parameter(
                name,
                type(getattr(Rule, name)),
                getattr(Rule, name),
                typer.Option(
                    help=(RULE_HELP | texts)[name],
                    min=0 if name == "seed" else None,
                    rich_help_panel="Verdict",
                ),
            )
            for name in names
        ]
        return _expanded(command, "rule", options, _rule_of)

    return decorate


def _rule_of(said: Mapping[str, Any], others: Mapping[str, Any]) -> Rule:
    """The thresholds of the command line, then those of the runs' files."""
    by_run = {run: saved_options(run, ("rule",)).get("rule", {}) for run in _runs_of(others)}
    taken = dict(said)
    for name in {name for saved in by_run.values() for name in saved} - said.keys():
        values = {run: saved[name] for run, saved in by_run.items() if name in saved}
        if len(set(values.values())) > 1:
            raise RunError(
                f"the runs' overmem.yaml name different thresholds: {spaced(name)}",
                got=", ".join(f"{value} ({run})" for run, value in values.items()),
                expected="one for all runs of a command",
                next_step=f"say which: --{name.replace('_', '-')} NUMBER",
            )
        taken[name] = next(iter(values.values()))
    return Rule(**taken)


def _runs_of(others: Mapping[str, Any]) -> list[Path]:
    """The run folders among a command's arguments."""
    given = others.get("runs") or [others.get("run")]
    sides = [others[side] for side in ("runs_a", "runs_b") if side in others]
    return [run for run in (*given, *chain(*map(split_runs, sides))) if isinstance(run, Path)]


def split_runs(written: str) -> list[Path]:
    """Run folders that are joined by commas: the seeds of one recipe."""
    return [Path(name) for name in written.split(",")]


def saved_options(run_path: Path, fields: Collection[str] | None = None) -> dict[str, Any]:
    """What the run's `overmem.yaml` holds, said on standard error, which is no program's.

    Args:
        run_path: folder of the run.
        fields: of `AuditOptions` that are read; all by default.

    Raises:
        RunError: it cannot be read.
    """
    if not (run_path / "overmem.yaml").is_file():
        return {}
    from overmem.auditing.run_files.overmem_yaml import read_saved_options, said_of_saved

    saved = read_saved_options(run_path)
    taken = {name: value for name, value in saved.items() if fields is None or name in fields}
    if taken:
        say(console(stderr=True), said_of_saved(run_path, taken))
    return taken


def open_asked(run_path: Path, flags: Mapping[str, Any]) -> tuple[Run, AuditOptions]:
    """A run and the options of its audit: of the command line, else of its `overmem.yaml`, else its recipe's.

    Args:
        run_path: folder of the run.
        flags: those of the audit that were given.

    Raises:
        OvermemError: the run, the file or an option cannot be used.
    """
    from overmem.auditing.consent import refuse_consent_of_a_file
    from overmem.auditing.flags.reading import read_flags
    from overmem.checkpoints import open_run

    saved = saved_options(run_path)
    refuse_consent_of_a_file(saved, flags, "overmem.yaml")
    found = open_run(
        run_path,
        allow_pickle=flags.get("allow_pickle", False),
        checkpoints_glob=flags.get("checkpoints_glob") or saved.get("checkpoints_glob"),
    )
    return found, read_flags(found, flags, saved)


def takes_audit_flags(
    flags: Iterable[Flag], only: Sequence[str] | None = None
) -> Callable[[Command], Command]:
    """Give a command the options of an audit; it takes the values of those that are given as `flags`.

    Args:
        flags: see `overmem.auditing.flags.declared.audit_flags`.
        only: the parameters of those that it takes; all by default.
    """

    def decorate(command: Command) -> Command:
        options = [
            _parameter(
                flag.parameter,
                flag.type,
                flag.default,
                typer.Option(
                    flag.option,
                    help=flag.help,
                    min=0 if flag.parameter == "seed" else None,
                    rich_help_panel=flag.heading,
                ),
            )
            for flag in flags
            if only is None or flag.parameter in only
        ]
        return _expanded(command, "flags", options, lambda said, _: dict(said))

    return decorate


def _parameter(name: str, kind: Any, default: Any, option: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=Annotated[kind, option]
    )


def _expanded(
    command: Command,
    parameter: str,
    options: Sequence[inspect.Parameter],
    build: Callable[[dict[str, Any], dict[str, Any]], Any],
) -> Command:
    """A command in whose signature options stand in the place of one parameter.

    That is built of the options that were given, not those left at their defaults, and of the command's other
    arguments.
    """
    signature = inspect.signature(command, eval_str=True)
    names = [option.name for option in options]

    @functools.wraps(command)
    def run(context: typer.Context, **given: Any) -> None:
        values = {name: given.pop(name) for name in names}
        said = {name: value for name, value in values.items() if _is_given(context, name)}
        command(**given, **{parameter: build(said, given)})

    shown = [
        item
        for own in signature.parameters.values()
        for item in (options if own.name == parameter else [own])
    ]
    # What has no default comes first, as Python wants it; the command line does not mind.
    shown.sort(key=lambda item: item.default is not inspect.Parameter.empty)
    own_context = inspect.Parameter(
        "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    run.__signature__ = signature.replace(parameters=[own_context, *shown])  # type: ignore[attr-defined]
    run.__annotations__ = {}
    return run


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP")


def parse_peaks(tflops: float | None, gbps: float | None) -> Peaks | None:
    """What a device can do at most, in plain units; None when nothing is said of one.

    Raises:
        RunError: one of the two is missing, or not above 0.
    """
    if tflops is None and gbps is None:
        return None
    if tflops is None or gbps is None or min(tflops, gbps) <= 0:
        raise RunError(
            "a device is described by both of its peaks",
            got=f"--device-tflops {tflops}, --device-gbps {gbps}",
            expected="numbers above 0 from its data sheet, in the dtype of the audit",
        )
    from overmem.auditing.planning.cost import Peaks

    return Peaks(flops=tflops * 1e12, bandwidth=gbps * 1e9)


def parse_weights(given: str | None) -> list[float] | None:
    """`0.2,0.3,0.5` as numbers.

    Raises:
        RunError: something that is not a number.
    """
    if given is None:
        return None
    try:
        return [float(part) for part in given.split(",")]
    except ValueError:
        raise RunError("weights are numbers", got=given, expected="0.2,0.3,0.5") from None
