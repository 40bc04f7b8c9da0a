"""How a run was measured, in a form that can be run again: sizes, seeds, thresholds, versions, commands."""

from __future__ import annotations

import shlex

from overmem.artifacts.manifest import Manifest
from overmem.axes import CORE, choose_axes
from overmem.formatting import shell_word
from overmem.records import Verdict
from overmem.rule import Rule


def commands(verdict: Verdict, manifest: Manifest, run: str) -> tuple[str, ...]:
    """The commands that make a report anew, each quoted for the shell.

    Args:
        verdict: the record.
        manifest: of the audit it rests on.
        run: the run's folder as it was named.
    """
    return audit_command(manifest, run), diagnose_command(verdict, run), _joined("report", run, [])


def audit_command(
    manifest: Manifest, run: str, *, more: tuple[str, ...] = (), train: str | None = None
) -> str:
    """The `overmem audit` that measures what a manifest describes; what is there is not measured again.

    Args:
        manifest: of the audit.
        run: the run's folder.
        more: axes to measure beside its own, or `("all",)`.
        train: source of training data where the audit had none.
    """
    # Loads pydantic, which nothing else in a report needs.
    from overmem.auditing.flags.writing import write_flags
    from overmem.auditing.options import saved_options

    options = saved_options(manifest)
    options = options.replace(
        train=options.train or train,
        axes=more if more == ("all",) else choose_axes((*options.axes, *more)),
    )
    return _joined("audit", run, write_flags(options))


def diagnose_command(verdict: Verdict, run: str) -> str:
    """The `overmem diagnose` with the thresholds of a verdict."""
    words: list[str] = []
    for name, value in verdict.thresholds.items():
        if value != getattr(Rule, name) and name != "confidence_threshold":
            words += [f"--{name.replace('_', '-')}", str(value)]
    return _joined("diagnose", run, words)


def axes_command(manifest: Manifest, run: str) -> str | None:
    """The `overmem audit` that measures the other axes too, where only the core was measured."""
    if set(manifest.axes) - set(CORE):
        return None
    return audit_command(manifest, run, more=("all",), train="TRAIN.jsonl")


def sizes(manifest: Manifest) -> list[tuple[str, int, str, str]]:
    """Each set of problems: (name, problems measured, where it came from, how answers are graded)."""
    return [(name, found.measured, found.source, found.grader) for name, found in manifest.splits.items()]


def settings_line(verdict: Verdict, manifest: Manifest | None) -> str:
    """Who measured, where that was another tool; thresholds and seeds, in one line."""
    imported = manifest.imported if manifest is not None else None
    parts = [f"imported from {imported.tool}: {imported.task}, by {imported.metric}"] if imported else []
    parts += [f"{key.replace('_', ' ')} {value:g}" for key, value in verdict.thresholds.items()]
    if manifest is not None and "seed" in manifest.config:
        parts.append(f"audit seed {manifest.config['seed']}")
    return ", ".join(parts)


def versions_line(manifest: Manifest) -> str:
    """Library versions, device and precision in one line, and who else measured."""
    parts = [f"{name} {version}" for name, version in manifest.versions.items()]
    parts += [f"Python {manifest.python}"] if manifest.python else []
    if manifest.device:
        parts.append(f"on {manifest.device} in {manifest.measured_in}")
    return ", ".join(parts)


def _joined(command: str, run: str, words: list[str]) -> str:
    return f"overmem {command} {shell_word(run)} {shlex.join(words)}".rstrip()
