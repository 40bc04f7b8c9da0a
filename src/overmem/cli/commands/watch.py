"""`overmem watch`: follow a folder in which checkpoints are being saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from overmem.auditing.consent import refuse_consent_of_a_file
from overmem.auditing.flags.declared import audit_flags
from overmem.auditing.flags.reading import read_fields
from overmem.auditing.options import AuditOptions, make_options
from overmem.cli.options import Json, Out, RunArg, saved_options, takes_audit_flags
from overmem.cli.screen import console
from overmem.rendering.template import Template
from overmem.tasks.sources import read_ahead

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
NOT_TAKEN = ("axes", "checkpoints", "references", "retention", "budget_minutes", "until_decided")
"""Fields of the run's `overmem.yaml` that are for the audit of a finished run."""


@takes_audit_flags(audit_flags(), TAKEN)
def watch(
    run: RunArg,
    flags: Mapping[str, Any],
    limit: Annotated[
        int | None, typer.Option(help="At most N problems of each set, chosen by --seed.")
    ] = None,
    every: Annotated[float, typer.Option(help="Seconds between two looks at the folder.")] = 30.0,
    settle: Annotated[
        float, typer.Option(help="Seconds without a change after which a checkpoint counts as complete.")
    ] = 10.0,
    idle: Annotated[
        float | None, typer.Option(help="Stop after so many minutes without a new checkpoint.")
    ] = None,
    out: Out = None,
    json_: Json = False,
) -> None:
    """Audit each new checkpoint of a run that is training, and keep verdict and report up to date.

    Examples:
        overmem watch outputs/ --val val.jsonl
        overmem watch outputs/ --val val.jsonl --limit 100 --idle 60
    """
    saved = saved_options(run, AuditOptions.model_fields.keys() - set(NOT_TAKEN))
    refuse_consent_of_a_file(saved, flags, "overmem.yaml")
    given = {**flags, **({} if limit is None else {"limit": [str(limit)]})}
    fields = read_fields(given, saved)
    template = {"template": Template(**fields["template"])} if "template" in fields else {}
    asked = make_options(fields | template)
    named = [(source, asked.columns) for source in (asked.val, asked.train) if source]
    with read_ahead(named):
        pass  # only checked: the first checkpoint may be hours away, and each look reads them anew
    from overmem.cli.follow import follow
    from overmem.cli.progress import model_progress, quiet_libraries

    quiet_libraries()
    screen = console(stderr=json_)
    with model_progress(screen, "audit") as progress:
        follow(
            run,
            screen,
            asked,
            every=every,
            settle=settle,
            idle_minutes=idle,
            out=out,
            progress=progress,
            json_lines=json_,
        )
