"""One `trainer_state.json` as the HF Trainer writes it, of any version, and what can be wrong with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overmem.boundary import reason
from overmem.checkpoints.reading import MAX_STEP
from overmem.errors import RunError
from overmem.parsing import ParseError, finite_number, read_json

STATE_FILE = "trainer_state.json"
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, kw_only=True)
class State:
    """One trainer state as it was read."""

    path: Path
    step: int
    """Optimizer steps taken when it was written."""
    max_steps: int | None
    rows: tuple[Mapping[str, Any], ...]
    """Of its log, each with a step, in the order in which they were written."""
    found: Mapping[str, Any]
    """The whole file."""
    notes: tuple[str, ...] = ()


def step_of(value: object) -> int | None:
    """A step of optimization; None for what is none."""
    step = finite_number(value)
    return int(step) if step is not None and 0 <= step <= MAX_STEP and step == int(step) else None


def first_bytes(path: Path, count: int = 4096) -> bytes:
    """The start of a file, empty where it is no ordinary file or cannot be opened."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(count)
    except OSError:
        return b""


def refuse_pointer(path: Path) -> None:
    """Refuse a file whose content stayed on a server of Git LFS.

    Raises:
        RunError: says how to fetch it.
    """
    if first_bytes(path, 200).startswith(_POINTER):
        raise RunError(
            f"{path} is a Git LFS pointer: the log itself was not downloaded",
            got="a file of three lines that names its content by a hash",
            expected="the file that it stands for",
            next_step="run `git lfs pull` in the clone, or download the file from its web page",
        )


def read_state(path: Path) -> State:
    """Read one trainer state.

    Args:
        path: the file.

    Raises:
        RunError: a pointer, an empty or truncated file, no JSON, another kind of file, or a log in which no
            row has a step.
    """
    refuse_pointer(path)
    try:
        found = read_json(path)
    except (OSError, ParseError) as error:
        empty = path.is_file() and path.stat().st_size == 0
        raise RunError(
            f"{path} {'is empty' if empty else 'cannot be read as JSON'}",
            got=reason(error),
            expected="the file that transformers.Trainer writes",
            next_step="it was cut off or overwritten: name another checkpoint's, or move it away",
        ) from error
    if not isinstance(found, dict) or not isinstance(found.get("log_history"), list):
        keys = ", ".join(sorted(map(str, found))[:8]) if isinstance(found, dict) else type(found).__name__
        raise RunError(
            f"{path} is not a trainer state",
            got=keys or "no keys",
            expected="an object with a log_history list",
        )
    rows, notes = _rows(found, path)
    own = step_of(found.get("global_step"))
    last = max((row["step"] for row in rows), default=0)
    return State(
        path=path,
        step=last if own is None else own,
        max_steps=step_of(found.get("max_steps")) or None,
        rows=rows,
        found=found,
        notes=notes,
    )


def _rows(found: Mapping[str, Any], path: Path) -> tuple[tuple[Mapping[str, Any], ...], tuple[str, ...]]:
    """The rows with a step each; those of old versions are placed by their epoch.

    Raises:
        RunError: there are rows, and none has a step.
    """
    history, kept, bad, placed = found["log_history"], [], [], 0
    a_epoch = _steps_an_epoch(found)
    for number, row in enumerate(history):
        if not isinstance(row, dict):
            bad.append(number)
            continue
        step = step_of(row.get("step"))
        if step is None and "step" not in row:
            epoch = finite_number(row.get("epoch"))
            if a_epoch is not None and epoch is not None and 0 <= epoch * a_epoch <= MAX_STEP:
                step, placed = round(epoch * a_epoch), placed + 1
        if step is None:
            bad.append(number)
        else:
            kept.append(row if row.get("step") is step else {**row, "step": step})
    if bad and not kept:
        raise RunError(
            f"row {bad[0]} of log_history in {path} has no step",
            got=f"{history[bad[0]]!r:.120}",
            expected='an object with an integer "step"',
        )
    notes = []
    if placed:
        notes.append(f"{placed} of {len(history)} rows have no step and were placed by their epoch.")
    if bad:
        notes.append(f"{len(bad)} of {len(history)} rows have no step and were left out.")
    return tuple(kept), tuple(notes)


def _steps_an_epoch(found: Mapping[str, Any]) -> float | None:
    step, epoch = finite_number(found.get("global_step")), finite_number(found.get("epoch"))
    return step / epoch if step and epoch and step > 0 and epoch > 0 else None
