"""The `overmem` command: one subcommand a stage."""

from overmem.cli.main import main

__all__ = ["main"]
