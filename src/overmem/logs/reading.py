"""Read the training log of whatever a person names: a run's folder, a checkpoint, or the log itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from overmem.boundary import library_call
from overmem.errors import RunError
from overmem.formatting import shell_word
from overmem.logs import trainer_state
from overmem.logs.history import LoggedHistory
from overmem.logs.states import STATE_FILE, first_bytes

Recognizes = Callable[[Path], bool]
"""Whether a path, which exists, is of a format; reads a few kilobytes at most."""
Reads = Callable[[Path], tuple[LoggedHistory, ...]]
"""Its runs, at least one; raises RunError where the log is damaged."""
_PACKED = {
    b"\x1f\x8b": "gunzip -k",
    b"PK\x03\x04": "unzip",
    b"\x28\xb5\x2f\xfd": "zstd -d",
    b"\xfd7zXZ\0": "xz -dk",
    b"BZh": "bunzip2 -k",
}
"""Beginnings of compressed files, and what unpacks them."""
_NAMED = 4
_LOOKED_AT = 200
"""Files of a folder without a log that are tried as one, to be named."""


def readers() -> Iterator[tuple[Recognizes, Reads]]:
    """Of each format, in the order in which they are tried; imported when it is their turn."""
    yield trainer_state.recognizes, trainer_state.read
    from overmem.logs.formats import (
        console,
        csv_export,
        json_lines,
        mlflow,
        notebook,
        step_lines,
        tensorboard,
        trackio,
        wandb_run,
    )

    for format in (
        json_lines,
        notebook,
        wandb_run,
        mlflow,
        trackio,
        tensorboard,
        csv_export,
        console,
        step_lines,
    ):
        yield format.recognizes, format.read


def is_run_folder(path: Path) -> bool:
    """Whether a path is a run's own folder, in which what is concluded of its log may be kept.

    A file that holds a log is none, and neither is a tracker's folder: nothing is written there.
    """
    return path.is_dir() and trainer_state.recognizes(path)


def read_histories(path: Path) -> tuple[LoggedHistory, ...]:
    """The runs that a log holds: mostly one, several where runs share a folder.

    Args:
        path: a run's folder, a checkpoint's folder, or the log's own file.

    Returns:
        Each run once, the one with the most checkpoints on disk first; branches that a resumed run left
        behind follow their run and name it in `branch_of`.

    Raises:
        RunError: there is nothing at the path, no log in it, or one that cannot be read.
    """
    if not path.exists():
        raise RunError(
            "this path does not exist",
            got=path,
            expected="a run's folder, a checkpoint's folder, or a training log",
            next_step="check the path",
        )
    # What a tool never writes may stand anywhere in a file; the readers look at what they take.
    with library_call(f"{path} cannot be read as a training log", RunError, next_step="name another log"):
        for recognizes, reads in readers():
            if recognizes(path):
                return reads(path)
    raise RunError(
        "no training log is here that can be read",
        got=f"{path}{'' if path.is_dir() else ', a file of another kind'}",
        expected=f"a {STATE_FILE}, in the folder or in its checkpoint-<step> folders; a trainer_log.jsonl; a "
        "folder of TensorBoard, wandb, MLflow or trackio; a notebook, CSV export or console log by its name",
        next_step=_next_step(path),
    )


def _next_step(path: Path) -> str:
    """To name a file of the folder that holds a log, such as `train.log`; else to audit the checkpoints."""
    if not path.is_dir():
        packed = next((tool for mark, tool in _PACKED.items() if first_bytes(path, 8).startswith(mark)), None)
        if packed is not None:
            return f"it is compressed; unpack it and name what is in it: {packed} {shell_word(path)}"
        return "name the log, or the run's folder"
    files = [file for file in sorted(path.iterdir())[:_LOOKED_AT] if file.is_file()]
    logs = (file for file in files if any(recognizes(file) for recognizes, _ in readers()))
    if (log := next(logs, None)) is not None:
        return f"name the log itself: {shell_word(log)}"
    below = (file.parent for file in sorted(path.glob(f"*/{STATE_FILE}"))[:_LOOKED_AT])
    if named := [shell_word(folder) for folder in below]:
        return (
            f"name one of the runs in it: {', '.join(named[:_NAMED])}{', ...' if len(named) > _NAMED else ''}"
        )
    return f"audit the checkpoints instead: overmem audit {shell_word(path)} --val VAL --train TRAIN"
