"""Read the training log of whatever a person names: a run's folder, a checkpoint, or the log itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from overmem.errors import RunError
from overmem.formatting import shell_word
from overmem.logs import trainer_state
from overmem.logs.history import LoggedHistory
from overmem.logs.states import STATE_FILE

Recognizes = Callable[[Path], bool]
"""Whether a path, which exists, is of a format; reads a few kilobytes at most."""
Reads = Callable[[Path], tuple[LoggedHistory, ...]]
"""Its runs, at least one; raises RunError where the log is damaged."""

READERS: tuple[tuple[Recognizes, Reads], ...] = ((trainer_state.recognizes, trainer_state.read),)
"""Of each format, tried in this order."""


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
    for recognizes, reads in READERS:
        if recognizes(path):
            return reads(path)
    raise RunError(
        "no training log is here that can be read",
        got=f"{path}{'' if path.is_dir() else ', a file of another kind'}",
        expected=f"a {STATE_FILE}, in the folder or in its checkpoint-<step> folders",
        next_step=f"audit the checkpoints instead: overmem audit {shell_word(path)} --val VAL --train TRAIN",
    )
