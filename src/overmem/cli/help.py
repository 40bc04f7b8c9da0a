"""`--help` in plain text of 80 columns: options in groups, examples at the end, no line cut off.

A mistyped command or option is one message with the nearest that there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

from overmem.errors import UnknownOptionError
from overmem.keywords import did_you_mean

EXAMPLES = "\n\nExamples:\n"
"""What stands between a command's help and its examples, in its docstring."""
OPTIONS = "Options"
_KINDS = {"str": "TEXT", "int": "N", "float": "X", "path": "PATH"}
_KIND = re.compile(r"<(?:list\[)?(\w+)([^>]*)>")
_RANGE = re.compile(r"; x>=?\d+(?=\])|\s*\[x>=?\d+\]")
_ARGUMENT = re.compile(r"\{(.*?)(?:\.\.\.)?\}(\.\.\.)?")


class _NamesTheNearest:
    """Answers an option that there is not with the nearest; beside a command's class."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments.

        Raises:
            UnknownOptionError: there is no such option.
        """
        try:
            return super().parse_args(ctx, args)  # type: ignore[misc, no-any-return]
        except Exception as error:
            # Its class is private to typer, and to click before; no other has this field.
            if not hasattr(error, "possibilities"):
                raise
            params = ctx.command.get_params(ctx)
            known = [name for param in params for name in (*param.opts, *param.secondary_opts)]
            written = error.option_name  # type: ignore[attr-defined]
            raise _unknown(ctx, "option", written, known) from None


class HelpCommand(_NamesTheNearest, TyperCommand):
    """A command whose help has its options in groups and its examples last."""

    def __init__(self, name: str | None, *, help: str | None = None, **settings: Any) -> None:
        """Take the examples out of the help."""
        text, _, self.examples = (help or "").partition(EXAMPLES)
        super().__init__(name, help=text, **settings)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What stands after the command's name: `[OPTIONS] RUN`."""
        return [_ARGUMENT.sub(r"\1\2", piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, the command's own options, then each group."""
        write_options(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples, as they are written."""
        write_examples(self.examples, formatter)


class HelpGroup(_NamesTheNearest, TyperGroup):
    """Commands whose first lines are shown whole."""

    examples = ""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is named; one that there is not is answered with the nearest."""
        name = args[0]
        if self.get_command(ctx, name) is None and not (name.startswith("-") or ctx.resilient_parsing):
            raise _unknown(ctx, "command", name, self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands."""
        lines = self.first_lines(ctx)
        with formatter.section("Commands"):
            formatter.write_dl(list(lines.items()))

    def first_lines(self, ctx: Any) -> Mapping[str, str]:
        """The first paragraph of each command's help."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        return {
            name: " ".join((command.help or "").partition("\n\n")[0].split())
            for name, command in commands.items()
            if command is not None
        }

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples, as they are written."""
        write_examples(self.examples, formatter)


def _unknown(ctx: Any, noun: str, written: str, known: Sequence[str]) -> UnknownOptionError:
    return UnknownOptionError(
        f"`{ctx.command_path}` has no {noun} {written!r}",
        expected=did_you_mean(written, known),
        next_step=f"`{ctx.command_path} --help` lists them",
    )


def write_options(params: Sequence[Any], ctx: Any, formatter: Any) -> None:
    """Write the parameters of a command, options under their headings.

    Args:
        params: as the command declares them.
        ctx: of the command.
        formatter: where to.
    """
    for heading, rows in option_groups(params, ctx).items():
        with formatter.section(heading):
            formatter.write_dl(rows)


def option_groups(params: Sequence[Any], ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """The parameters of a command by their headings, each as it is written and what it means; none is empty.

    docs/hooks.py makes the page of commands from it, too.

    Args:
        params: as the command declares them.
        ctx: of the command.
    """
    groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], OPTIONS: []}
    for param in params:
        record = param.get_help_record(ctx)
        if record is None:
            continue
        is_argument = param.param_type_name == "argument"
        heading = getattr(param, "rich_help_panel", None) or OPTIONS
        written, text = _KIND.sub(_kind, record[0]), _RANGE.sub("", record[1])
        if is_argument:
            heading, written = "Arguments", param.metavar or written
        groups.setdefault(heading, []).append((written, text))
    return {heading: rows for heading, rows in groups.items() if rows}


def write_examples(examples: str, formatter: Any) -> None:
    """Write examples, a line each, uncut."""
    lines: Iterable[str] = filter(None, map(str.strip, examples.splitlines()))
    text = "".join(f"  {line}\n" for line in lines)
    if text:
        formatter.write(f"\nExamples:\n{text}")


def _kind(found: re.Match[str]) -> str:
    """What a value is, in a word; choices as they are written."""
    return _KINDS.get(found[1].lower(), f"{found[1]}{found[2]}".rstrip("]"))
