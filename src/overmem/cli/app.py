"""The command line: its subcommands in the order of the flow, and what becomes of an error.

Heavy libraries are imported inside the commands that need them, so that `--help` and the torch-free
stages start at once.
"""

from __future__ import annotations

import os
import sys

import typer

from overmem.cli.audit import audit, plan
from overmem.cli.demo import demo
from overmem.cli.diagnose import check, compare, diagnose
from overmem.cli.repair import merge, repair
from overmem.cli.report import report
from overmem.cli.sweep import sweep
from overmem.cli.train import train
from overmem.cli.watch import watch
from overmem.errors import OvermemError

app = typer.Typer(
    help="Find, explain and fix over-memorization in LLM fine-tuning.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (train, plan, audit, diagnose, compare, merge, repair, report, watch, check, sweep, demo):
    app.command()(command)


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
