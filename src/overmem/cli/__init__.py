"""The `overmem` command: one subcommand a stage."""

from __future__ import annotations

import sys
from typing import NoReturn

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the signal's number, as shells have it."""


def main() -> NoReturn:
    """Run the command line; a user's error prints one message and exits with code 2.

    Nothing is imported before it is called, so that Ctrl-C is one line while modules are still loaded.
    """
    try:
        from overmem.cli.run import run

        code = run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        print("overmem: interrupted; what was saved stays", file=sys.stderr)
    sys.exit(code)


__all__ = ["main"]
