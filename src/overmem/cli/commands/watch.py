"""`overmem watch`: follow a folder in which checkpoints are being saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from overmem.auditing.flags import audit_flags
from overmem.auditing.options import make_options
from overmem.cli.options import Out, RunArg, takes_audit_flags
from overmem.cli.screen import console

TAKEN = (
    "val",
    "train",
    "grader",
    "max_new_tokens",
    "base_model",
    "seed",
    "device",
    "device_map",
    "dtype",
    "quantize",
    "checkpoints_glob",
    "allow_pickle",
    "trust_remote_code",
    "allow_code_execution",
)
"""Options of an audit that following one makes sense of."""


@takes_audit_flags(audit_flags(), TAKEN)
def watch(
    run: RunArg,
    flags: Mapping[str, Any],
    limit: Annotated[int | None, typer.Option(help="Most problems of each set, drawn by --seed.")] = None,
    every: Annotated[float, typer.Option(help="Seconds between looks at the folder.")] = 30.0,
    settle: Annotated[float, typer.Option(help="Seconds without a change: a checkpoint is whole.")] = 10.0,
    idle: Annotated[
        float | None, typer.Option(help="Minutes without a new checkpoint after which to stop.")
    ] = None,
    out: Out = None,
) -> None:
    """Follow a folder where checkpoints are being saved: audit each, and keep verdict and report fresh."""
    from overmem.cli.follow import follow
    from overmem.cli.progress import model_progress, quiet_libraries

    quiet_libraries()
    screen = console()
    with model_progress(screen, "audit") as progress:
        follow(
            run,
            screen,
            make_options({**flags, "limit": limit}),
            every=every,
            settle=settle,
            idle_minutes=idle,
            out=out,
            progress=progress,
        )
