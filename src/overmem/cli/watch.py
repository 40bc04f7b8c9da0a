"""`overmem watch`: follow a folder in which checkpoints are being saved."""

from __future__ import annotations

from typing import Annotated

import typer

from overmem.cli.options import (
    AllowCodeExecution,
    BaseModel,
    Device,
    Dtype,
    Grader,
    MaxNewTokens,
    Out,
    RunArg,
    Seed,
    Train,
    Val,
)
from overmem.cli.screen import console


def watch(
    run: RunArg,
    val: Val = None,
    train: Train = None,
    limit: Annotated[int | None, typer.Option(help="Most problems of each set, drawn by --seed.")] = None,
    every: Annotated[float, typer.Option(help="Seconds between looks at the folder.")] = 30.0,
    settle: Annotated[float, typer.Option(help="Seconds without a change: a checkpoint is whole.")] = 10.0,
    idle: Annotated[
        float | None, typer.Option(help="Minutes without a new checkpoint after which to stop.")
    ] = None,
    grader: Grader = None,
    max_new_tokens: MaxNewTokens = None,
    base_model: BaseModel = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    allow_code_execution: AllowCodeExecution = False,
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
            every=every,
            settle=settle,
            idle_minutes=idle,
            out=out,
            progress=progress,
            val=val,
            train=train,
            limit=limit,
            grader=grader,
            max_new_tokens=max_new_tokens,
            base_model=base_model,
            seed=seed,
            device=device,
            dtype=dtype,
            allow_code_execution=allow_code_execution,
        )
