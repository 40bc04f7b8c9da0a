"""`overmem.yaml` of a run folder: the options of its audit, which every command that is given the run reads.

Its keys are the fields of `AuditOptions`. Whoever shares a run shares this file too, so permission to run
code is not read from it (`overmem.auditing.consent`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from overmem.artifacts.files import write_text_atomic
from overmem.auditing.options import AuditOptions
from overmem.errors import RunError
from overmem.formatting import spaced
from overmem.parsing import ParseError, read_yaml
from overmem.recipe.written import with_numbers
from overmem.strict_model import wrong_fields

NAME = "overmem.yaml"
NOT_HERE = ("half", "groups")
"""Fields that one command sets for another."""
COMMENTS = {
    "val": "Validation problems, not trained on, with solutions and answers. 400 or more, if you can.",
    "train": "Training data: to measure memorization, and to check val for leaks.",
    "checkpoints_glob": "Pattern of the checkpoint folders, if they have other names than usual.",
    "axes": "What is measured: all, or some of likelihood, accuracy, calibration, diversity, ...",
    "limit": "At most so many problems of each set; all, if left out.",
    "max_new_tokens": "Longest answer, in tokens; twice the longest reference, if left out.",
    "engine": "What writes the answers: hf or vllm. A server can be named on the command line only.",
    "rule": "Thresholds of the verdict (docs/definitions.md).",
}
"""What stands above a field that `overmem init` writes."""
_SHOWN = 40
"""Characters of a value in the line that says what was taken."""


def read_saved_options(run_path: Path) -> dict[str, Any]:
    """The fields that a run's `overmem.yaml` holds, checked; empty where there is no such file.

    Raises:
        RunError: it cannot be read, or a field is unknown or impossible; its path is named.
    """
    path = run_path / NAME
    if not path.is_file():
        return {}
    try:
        written = read_yaml(path)
    except (ParseError, OSError) as error:
        raise RunError(f"{path} cannot be read", got=error, next_step=_NEXT.format(path=path)) from None
    if written is None:
        return {}
    if not isinstance(written, dict):
        raise RunError(f"{path} holds no keys and values", got=type(written).__name__, expected="val: FILE")
    fields = {str(key): value for key, value in with_numbers(written).items() if value is not None}
    unknown = [name for name in fields if name in NOT_HERE or name not in AuditOptions.model_fields]
    if unknown:
        known = [name for name in AuditOptions.model_fields if name not in NOT_HERE]
        raise RunError(
            f"{path} has a key that is no option of an audit",
            got=", ".join(unknown),
            expected=f"some of {', '.join(known)}",
            next_step="correct the key",
        )
    try:
        read = AuditOptions.model_validate(fields)
    except ValidationError as error:
        got = " ".join(wrong_fields(error).split())
        raise RunError(f"{path} has a wrong value", got=got, next_step=_NEXT.format(path=path)) from None
    parts = {group: getattr(read, group) for group in ("rule", "template") if group in fields}
    return fields | {
        group: {name: getattr(value, name) for name in fields[group]} for group, value in parts.items()
    }


_NEXT = "correct {path}, or delete it; `overmem init` writes another"


def said_of_saved(run_path: Path, fields: Mapping[str, Any]) -> str:
    """What was taken from the file, in one line; defaults are left out."""
    usual = AuditOptions.model_validate({})
    parts = {name: value for name, value in fields.items() if name not in ("rule", "template")}
    given = AuditOptions.model_validate(parts)
    said = {name: value for name, value in parts.items() if getattr(given, name) != getattr(usual, name)}
    for group in ("template", "rule"):
        own = getattr(usual, group)
        said |= {key: value for key, value in fields.get(group, {}).items() if getattr(own, key) != value}
    shown = ", ".join(f"{spaced(name)} {_short(value)}" for name, value in said.items())
    return f"from {run_path / NAME}: {shown or 'nothing but defaults'}"


def write_saved_options(run_path: Path, fields: Mapping[str, Any], about: str) -> Path:
    """Write `overmem.yaml`, each field under its meaning.

    Args:
        run_path: folder of the run.
        fields: those of `COMMENTS`; one that is None is shown as a comment.
        about: what is known of the run, a sentence a line.

    Returns:
        The file.
    """
    lines = [
        f"# {line}"
        for line in (
            *about.splitlines(),
            "Every overmem command that is given this folder reads this file. An option on its command line",
            "wins. Every other option of `overmem audit --help` can stand here, with _ for - in its name.",
            "Paths are relative to the folder in which the command is run.",
        )
    ]
    for name, value in fields.items():
        dumped = yaml.safe_dump({name: value}, sort_keys=False, allow_unicode=True, width=1000).splitlines()
        lines += ["", f"# {COMMENTS[name]}", *([f"# {name}:"] if value is None else dumped)]
    path = run_path / NAME
    write_text_atomic(path, "\n".join(lines) + "\n")
    return path


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
