"""How a run was measured, in a form that can be run again: sizes, seeds, thresholds, versions, commands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]

_AUDIT = {
    "checkpoints": "key",
    "samples": 8,
    "temperature": 0.8,
    "budget_minutes": None,
    "grader": None,
    "max_new_tokens": None,
    "base_model": None,
    "seed": 0,
    "device": "auto",
    "dtype": "auto",
    "batch_tokens": None,
}
"""Options of `overmem audit` that take one value, with their defaults."""
_FLAGS = {"budget_minutes": "--budget"}
_DIAGNOSE = {"accuracy_margin": 0.03, "perplexity_ratio": 1.10, "resamples": 2000, "seed": 0}
_CORE = ("likelihood", "accuracy")
_TEMPLATE = {"completion_format": "{completion}", "system": None, "eos": True}
"""Parts of a template that only a recipe can set."""


def commands(verdict: Record, manifest: Record, run: str) -> tuple[str, ...]:
    """The commands that make a report anew, each quoted for the shell.

    Args:
        verdict: an `overmem.verdict/1` record.
        manifest: of the audit it rests on.
        run: the run's folder as it was named.
    """
    return audit_command(manifest, run), diagnose_command(verdict, run), _joined("report", run, [])


def audit_command(manifest: Record, run: str, *, more: tuple[str, ...] = (), train: str | None = None) -> str:
    """The `overmem audit` that measures what a manifest describes; what is there is not measured again.

    Args:
        manifest: of the audit.
        run: the run's folder.
        more: axes to measure beside its own, or `("all",)`.
        train: source of training data where the audit had none.
    """
    config = manifest["config"]
    every = more == ("all",)
    words = ["--val", config["val"]]
    known_train = config.get("train") or train
    words += ["--train", known_train] if known_train else []
    axes = [*_CORE, *sorted({*manifest.get("axes", ()), *more} - set(_CORE))]
    words += ["--axes", "all" if every else ",".join(axes)] if len(axes) > len(_CORE) else []
    for option, prefix in (("--ood", "ood/"), ("--references", "references/")):
        for name, source in _named(manifest, prefix).items():
            words += [option, f"{name}={source}"]
    for name, source in (config.get("variants") or {}).items():
        words += ["--variant", name if source is None else f"{name}={source}"]
    words += ["--limit", str(config["limit"])] if config.get("limit") is not None else []
    for axis, limit in (config.get("limits") or {}).items():
        words += ["--limit", f"{axis}={limit}"]
    for name, default in _AUDIT.items():
        value = config.get(name, default)
        if value is not None and value != default:
            words += [_FLAGS.get(name, f"--{name.replace('_', '-')}"), str(value)]
    words += _template(config.get("template") or {})
    words += [
        f"--{name.replace('_', '-')}"
        for name in ("until_decided", "allow_pickle", "trust_remote_code", "allow_code_execution")
        if config.get(name)
    ]
    return _joined("audit", run, words)


def diagnose_command(verdict: Record, run: str) -> str:
    """The `overmem diagnose` with the thresholds of a verdict."""
    words: list[str] = []
    for name, default in _DIAGNOSE.items():
        value = (verdict.get("thresholds") or {}).get(name, default)
        if value != default:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return _joined("diagnose", run, words)


def axes_command(manifest: Record, run: str) -> str | None:
    """The `overmem audit` that measures the other axes too, where only the core was measured."""
    if set(manifest.get("axes", ())) - set(_CORE):
        return None
    return audit_command(manifest, run, more=("all",), train="TRAIN.jsonl")


def from_recipe(manifest: Record) -> bool:
    """Whether the template holds something that no option of the command says."""
    template = manifest["config"].get("template") or {}
    return any(template.get(name, default) != default for name, default in _TEMPLATE.items())


def sizes(manifest: Record) -> list[tuple[str, int, str, str]]:
    """Each set of problems: (name, n, where it came from, how answers are graded)."""
    return [
        (name, int(split["n"]), str(split["source"]), str(split.get("grader") or "none"))
        for name, split in (manifest.get("splits") or {}).items()
        if isinstance(split, Mapping) and {"n", "source"} <= set(split)
    ]


def settings_line(verdict: Record, manifest: Record | None) -> str:
    """Thresholds and seeds in one line."""
    limits = verdict.get("thresholds") or {}
    parts = [f"{key.replace('_', ' ')} {value:g}" for key, value in limits.items()]
    if manifest is not None and "seed" in manifest.get("config", {}):
        parts.append(f"audit seed {manifest['config']['seed']}")
    return ", ".join(parts)


def versions_line(manifest: Record) -> str:
    """Library versions, device and precision in one line."""
    parts = [f"{name} {version}" for name, version in (manifest.get("versions") or {}).items()]
    parts += [f"Python {manifest['python']}"] if manifest.get("python") else []
    if manifest.get("device"):
        parts.append(f"on {manifest['device']} in {manifest.get('dtype', 'unknown precision')}")
    return ", ".join(parts)


def _named(manifest: Record, prefix: str) -> dict[str, str]:
    """Sources of the sets of all sittings whose name begins with a prefix, by what follows it."""
    splits = [s for s in (manifest.get("splits") or {}).values() if str(s.get("set")).startswith(prefix)]
    return {split["set"].removeprefix(prefix): split["source"] for split in splits}


def _template(template: Record) -> list[str]:
    words = ["--template", template["kind"]] if template.get("kind", "auto") != "auto" else []
    asked = template.get("prompt_format", "{prompt}")
    return words + (["--prompt-format", asked] if asked != "{prompt}" else [])


def _joined(command: str, run: str, words: list[str]) -> str:
    place = f"./{run}" if run.startswith("-") else run
    return shlex.join(["overmem", command, place, *words])
