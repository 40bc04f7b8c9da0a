"""Push a verdict to a tracker: `wandb:PROJECT`, `mlflow`, `tensorboard:FOLDER`, `hub:USER/NAME`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from overmem.errors import RunError
from overmem.reporting.trackers.published import read_published

TARGETS = {
    "wandb": ("to_wandb", "push"),
    "mlflow": ("to_mlflow", "push"),
    "trackio": ("to_trackio", "push"),
    "tensorboard": ("to_tensorboard", "push"),
    "card": ("to_model_card", "push"),
    "hub": ("to_model_card", "push_to_hub"),
}
"""Module and function of each."""


def push_report(run: str | Path, targets: Sequence[str]) -> list[str]:
    """Push the verdict, its table and the report.

    Args:
        run: folder of the run, or its artifacts.
        targets: `NAME` or `NAME:WHERE` each; where is a project, an experiment, a folder or a repository.

    Returns:
        Where each is now.

    Raises:
        OvermemError: an unknown target, one whose package is not installed, or a run without a verdict.
    """
    asked = [(name, where or None) for name, _, where in (target.partition(":") for target in targets)]
    unknown = [name for name, _ in asked if name not in TARGETS]
    if unknown:
        raise RunError("unknown tracker", got=unknown[0], expected=", ".join(TARGETS))
    published = read_published(run)
    done = []
    for name, where in asked:
        module, function = TARGETS[name]
        push = getattr(import_module(f"overmem.reporting.trackers.{module}"), function)
        done.append(f"{name}: {push(published, where)}")
    return done
