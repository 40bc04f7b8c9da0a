"""Where the command line speaks: plain lines for people, JSON for programs."""

from __future__ import annotations

import json
import os
from typing import Any

from rich.console import Console


def console() -> Console:
    """Where people read: standard output, of the first process where a launcher started several."""
    return Console(highlight=False, quiet=os.environ.get("RANK", "0") != "0")


def say(screen: Console, text: str) -> None:
    """Print a line as it is: no markup in it, and not wrapped, so that paths can be copied."""
    screen.print(text, markup=False, soft_wrap=True)


def print_json(record: dict[str, Any]) -> None:
    """Print a record for a program."""
    print(json.dumps(record, indent=1))
