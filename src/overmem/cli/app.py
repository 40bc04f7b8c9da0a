"""The command line: its subcommands in the order of the flow.

A command's module is imported only when that command is called, so that `--help` and the torch-free stages
start at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer

from overmem import __version__
from overmem.cli.help import HelpCommand, HelpGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "train": ("train", "Fine-tune a model by a recipe, with checkpoints in the usual Hugging Face layout."),
    "init": ("init", "Look at a run, find its data, and write overmem.yaml, which every command reads."),
    "plan": (
        "audit",
        "Show what an audit would cost in tokens, time and memory; a batch or two of each kind is measured.",
    ),
    "audit": (
        "audit",
        "Measure every checkpoint, name its stage, say which one to ship, and write the page.",
    ),
    "diagnose": ("diagnose", "Name each checkpoint's stage with its confidence, and recommend one."),
    "compare": (
        "diagnose",
        "Say which of two audited runs is better: at their recommended checkpoints, and at equal accuracy.",
    ),
    "merge": ("repair", "Average checkpoints of one fine-tune into an ordinary model or adapter folder."),
    "repair": (
        "repair",
        "Find an average of checkpoints that is better than the recommended one, and prove it.",
    ),
    "report": (
        "report",
        "Write one self-contained HTML page, or Markdown or JSON, with the verdict and what it rests on.",
    ),
    "watch": (
        "watch",
        "Audit each new checkpoint of a run that is training, and keep verdict and report up to date.",
    ),
    "check": (
        "diagnose",
        "A gate for CI: exit code 0 if the checkpoint passes, 1 if it fails, 2 if it cannot be told.",
    ),
    "data": (
        "data",
        "Check val against the training data, list memorized rows, write the data without them.",
    ),
    "import": ("results", "Read the results of another tool for a run's checkpoints, in place of an audit."),
    "export": ("results", "Write an audit's rows in the format of another tool, or as a task for lm-eval."),
    "sweep": (
        "sweep",
        "Train, audit and diagnose each cell of a sweep; run again to continue. Exit code 1: a cell failed.",
    ),
    "demo": (
        "demo",
        "Train the bundled tiny model until it over-memorizes, then audit, diagnose and report.",
    ),
}
"""Module of each command within `cli/commands/`, and the first line of its help."""
SETTINGS: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
}


@dataclass(frozen=True)
class Completion:
    """One word that a shell may complete, as typer writes it out."""

    value: str
    help: str
    type: str = "plain"


class LazyGroup(HelpGroup):
    """Commands that are imported when they are called."""

    examples = """
        overmem demo
        overmem init outputs/
        overmem audit outputs/ --val val.jsonl --train train.jsonl
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the flow."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"overmem.cli.commands.{COMMANDS[cmd_name][0]}")
        found = getattr(module, f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name)
        if isinstance(found, typer.Typer):
            return typer.main.get_group(found)
        alone = typer.Typer(**SETTINGS)
        alone.command(cmd_name, cls=HelpCommand)(found)
        return typer.main.get_command(alone)

    def first_lines(self, ctx: Any) -> Mapping[str, str]:
        """What each command does, without importing any."""
        return {name: text for name, (_, text) in COMMANDS.items()}

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Names of commands for a shell, without importing any; options where a dash was typed."""
        if incomplete.startswith("-"):
            return list(super().shell_complete(ctx, incomplete))
        return [Completion(name, text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]


app = typer.Typer(
    cls=LazyGroup,
    help="Find, explain and fix over-memorization in LLM fine-tuning.",
    no_args_is_help=True,
    **{**SETTINGS, "add_completion": True},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"overmem {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Find, explain and fix over-memorization in LLM fine-tuning."""
