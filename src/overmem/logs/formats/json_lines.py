"""Rows as JSON, one a line or in a list: LLaMA-Factory's `trainer_log.jsonl`, ms-swift's, others' own.

LLaMA-Factory logs `current_steps`, `total_steps`, `lr`, `epoch`, and of the Trainer's own row `loss`,
`eval_loss`, `reward` and `accuracy` (which is `rewards/accuracies`, of training); a second training into one
folder is appended. A list is what `json.dump(trainer.state.log_history)` writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from overmem.errors import RunError
from overmem.logs.formats.files import decode, read_log_text
from overmem.logs.formats.rows import Row, histories, is_a_log, number_of, trainer_key, whole_step
from overmem.logs.history import LoggedHistory
from overmem.logs.states import first_bytes, refuse_pointer
from overmem.parsing import ParseError, parse_json

NAMES = ("trainer_log.jsonl", "logging.jsonl", "wandb-history.jsonl")
_CLOCKS = {"percentage", "elapsed_time", "remaining_time", "throughput", "total_tokens"}
_OF_SWIFT = "global_step/max_steps"


def recognizes(path: Path) -> bool:
    """Whether a path is such a file, or a folder that has one under a name of `NAMES`."""
    if path.is_dir():
        return any((path / name).is_file() for name in NAMES)
    if path.suffix not in (".jsonl", ".ndjson", ".json"):
        return False
    start = decode(first_bytes(path)).lstrip()
    if start.startswith("["):
        return any(key in start for key in ('"loss"', '"eval_loss"', '"train/loss"', '"eval/loss"'))
    return path.name in NAMES or any(_row(line) for line in start.splitlines()[:5])


def read(path: Path) -> tuple[LoggedHistory, ...]:
    """The runs of a file, in the order in which they were written.

    Raises:
        RunError: no line is a row of a log.
    """
    files = [path / name for name in NAMES if (path / name).is_file()] if path.is_dir() else [path]
    return tuple(history for file in files for history in _of_file(file))


def _of_file(file: Path) -> list[LoggedHistory]:
    refuse_pointer(file)
    text = read_log_text(file)
    if text.lstrip().startswith("["):
        lines, found = _list(file, text)
    else:
        lines = [line for line in text.splitlines() if line.strip()]
        found = [_row(line) for line in lines]
    rows = [row for row in found if row]
    if not any(map(is_a_log, rows)):
        raise RunError(
            f"{file} holds no log of a training",
            got=f"{lines[0]:.120}" if lines else "an empty file",
            expected='an object a line with a step and a loss, such as {"current_steps": 10, "loss": 1.2}',
        )
    bad = [number for number, row in enumerate(found, 1) if row is None]
    at = f"Row {bad[0]} cannot be read and was" if len(bad) == 1 else ""
    at = at or f"{len(bad)} of {len(lines)} rows cannot be read and were"
    cut = ": the file is cut off at its end" if bad == [len(lines)] else ""
    notes = (f"{at} left out{cut}.",) if bad else ()
    return histories(rows, source=str(file), kind="trainer_log", notes=notes)


def _list(file: Path, text: str) -> tuple[list[str], list[Row | None]]:
    try:
        found = parse_json(text)
    except ParseError as error:
        raise RunError(f"{file} cannot be read as JSON", got=str(error), expected="a list of rows") from error
    rows = found if isinstance(found, list) else [found]
    return [str(row) for row in rows], [_of_object(row) for row in rows]


def _row(line: str) -> Row | None:
    """A row under the Trainer's keys; empty where a line says nothing of losses, None where it is no row."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        found = parse_json(line)
    except ParseError:
        return None
    return _of_object(found)


def _of_object(found: object) -> Row | None:
    if not isinstance(found, dict):
        return None
    row: dict[str, Any] = {}
    for key, value in found.items():
        if key not in _CLOCKS:
            row.setdefault(_key(key, found), number_of(value))
    if _OF_SWIFT in found:
        step, _, total = str(found[_OF_SWIFT]).partition("/")
        row |= {"step": number_of(step), "total_steps": number_of(total)}
        del row[_OF_SWIFT]
    at = whole_step(row.get("step"))
    if at is None:
        return None if is_a_log(row) or "step" in row else {}
    return row | {"step": at} if is_a_log(row) else {}


def _key(key: str, row: dict[str, Any]) -> str:
    """LLaMA-Factory's `accuracy` is of preferences while training, and no evaluation's."""
    return "rewards/accuracies" if key == "accuracy" and "current_steps" in row else trainer_key(key)
