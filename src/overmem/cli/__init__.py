"""The `overmem` command: one subcommand a stage."""

from overmem.cli.app import main

__all__ = ["main"]
