"""`overmem init`: look at a run, find its data, and write down what every command is to measure."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from overmem.cli.options import Json, RunArg
from overmem.cli.screen import console, print_json, say
from overmem.errors import OvermemError, RunError
from overmem.formatting import shell_word

if TYPE_CHECKING:
    from overmem.auditing.options import AuditOptions
    from overmem.auditing.run_files.found_data import FoundData
    from overmem.records import Run


def init(
    run: RunArg,
    val: Annotated[
        str | None, typer.Option(help="Validation problems; by default asked for, or guessed.")
    ] = None,
    train: Annotated[
        str | None, typer.Option(help="Training data; by default asked for, or guessed.")
    ] = None,
    checkpoints_glob: Annotated[
        str | None, typer.Option(help="Pattern of the checkpoint folders, such as 'my-*'.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing and take what is found.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing overmem.yaml.")] = False,
    json_: Json = False,
) -> None:
    """Look at a run, find its data, and write overmem.yaml, which every command reads.

    Examples:
        overmem init outputs/
        overmem init outputs/ --val val.jsonl --train train.jsonl --yes
    """
    from overmem.auditing.flags.reading import read_flags
    from overmem.auditing.resolve import data_read_ahead
    from overmem.auditing.run_files.found_data import find_data
    from overmem.auditing.run_files.overmem_yaml import NAME, write_saved_options
    from overmem.checkpoints import open_run

    if (run / NAME).exists() and not force:
        again = f"overmem init {shell_word(run)} --force"
        raise RunError(f"{run / NAME} exists already", next_step=f"edit it, or replace it: {again}")
    found = open_run(run, checkpoints_glob=checkpoints_glob)
    screen = console(stderr=json_)
    guessed = find_data(found)
    about = _about(found, guessed)
    say(screen, about)
    asks = not yes and not json_ and _asks()
    val = _choose("val", val, guessed.val, screen, asks=asks)
    train = _choose("train", train, guessed.train, screen, asks=asks)
    if val is None:
        raise RunError(
            "no validation data were found",
            expected="problems that were not trained on, with reference solutions and answers",
            next_step=f"name them: overmem init {shell_word(run)} --val FILE --train FILE",
        )
    fields = _fields(val, train)
    if checkpoints_glob is not None:
        fields = {"checkpoints_glob": checkpoints_glob, **fields}
    asked = read_flags(found, {}, {name: value for name, value in fields.items() if value is not None})
    with data_read_ahead(asked):
        path = write_saved_options(run, fields, about)
        say(screen, f"wrote: {path}")
        prompt, plan = _show(found, asked, screen)
    if json_:
        print_json({"file": str(path), "val": val, "train": train, "prompt": prompt, "plan": plan})
    else:
        say(screen, f"next:  overmem audit {shell_word(run)}")


def _asks() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _fields(val: str, train: str | None) -> dict[str, Any]:
    """What is written down: the data, and the options that people change first."""
    from overmem.auditing.options import AuditOptions
    from overmem.axes import CORE

    rule = AuditOptions().rule
    return {
        "val": val,
        "train": train,
        "axes": list(CORE),
        "limit": None,
        "max_new_tokens": None,
        "engine": AuditOptions().engine,
        "rule": {"accuracy_margin": rule.accuracy_margin, "perplexity_ratio": rule.perplexity_ratio},
    }


def _about(run: Run, found: FoundData) -> str:
    """What the folder holds, and what wrote it."""
    steps = [checkpoint.step for checkpoint in run.checkpoints]
    kinds = {"full": "full models", "adapter": "adapters"}
    kind = " and ".join(kinds[kind] for kind in sorted({item.kind for item in run.checkpoints}, reverse=True))
    lines = [f"{run.path}: {len(steps)} checkpoints ({kind}), steps {min(steps):,} to {max(steps):,}"]
    if found.tool:
        lines.append(f"{found.told_by} says that it was trained by {found.tool}")
    lines += [f"left out: {name}: {why.splitlines()[0]}" for name, why in run.skipped.items()]
    return "\n".join(lines)


def _choose(what: str, given: str | None, guess: str | None, screen: Console, *, asks: bool) -> str | None:
    """The source that is given, else the one that is typed, else the guess; it is read before it is taken."""
    if given is not None or not asks:
        source = given or guess
        if source is not None:
            say(screen, f"{what}: {_read(source)}{'' if given else ' (found; not asked)'}")
        return source
    text = {"val": "Validation problems (val)", "train": "Training data (Enter: none)"}[what]
    while True:
        typed = typer.prompt(text, default=guess or "", show_default=guess is not None).strip()
        if not typed and what == "train":
            return None
        try:
            say(screen, f"{what}: {_read(typed)}")
            return str(typed)
        except OvermemError as error:
            say(screen, str(error))


def _read(source: str) -> str:
    """What a source was read as, in a line.

    Raises:
        DataError: it cannot be read.
    """
    from overmem.tasks.sources import load_examples

    found = load_examples(source)
    return f"{source}: {len(found.examples):,} examples; {found.shape}; grader {found.grader}"


def _show(run: Run, asked: AuditOptions, screen: Console) -> tuple[str | None, dict[str, Any] | None]:
    """Show the first prompt and the plan; what stands in their way is said, and the file stays."""
    from overmem.auditing.opening import open_session, show_prompt
    from overmem.auditing.planning.forecast import forecast
    from overmem.cli.progress import quiet_libraries
    from overmem.cli.views.plan import render_forecast

    quiet_libraries()
    try:
        prompt = show_prompt(run, asked)
        say(screen, f"\n{prompt}\n")
        made = forecast(open_session(run, asked, None), dict(run.skipped), None)
    except OvermemError as error:
        say(screen, f"no plan yet: {error}")
        return None, None
    render_forecast(made, 1, screen)
    return prompt, made.to_dict(1)
