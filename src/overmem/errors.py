"""Errors a user can act on.

Every error says what was wrong, what was found, what was expected and what to do next; the command
line prints that text without a traceback and exits with code 2. Each class is also the standard
error a Python caller would expect, so `except ValueError` keeps working.
"""

from __future__ import annotations

MOST_SHOWN = 300
"""Characters of an offending value that a message shows, its start and its end."""
MOST_SAID = 4000
"""Characters of any other part of a message."""


class OvermemError(Exception):
    """Base of all errors that are the input's fault, not the program's."""

    def __init__(
        self, what: str, *, got: object = None, expected: object = None, next_step: str = ""
    ) -> None:
        """Compose one message from its four parts.

        Args:
            what: what is wrong, naming the file, row or field.
            got: the offending value, or None to leave the line out.
            expected: what would have been accepted, or None to leave the line out.
            next_step: what the user should do now.
        """
        self.what, self.got, self.expected, self.next_step = what, got, expected, next_step
        lines = [_part("", what, MOST_SAID)]
        if got is not None:
            lines.append(_part("  got:      ", got, MOST_SHOWN))
        if expected is not None:
            lines.append(_part("  expected: ", expected, MOST_SAID))
        if next_step:
            lines.append(_part("  next:     ", next_step, MOST_SAID))
        super().__init__("\n".join(lines))


def _part(label: str, value: object, most: int) -> str:
    """A part of a message, shortened in the middle; its later lines are set in, so none looks like a part."""
    text = str(value)
    if len(text) > most:
        half = (most - 5) // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return label + text.replace("\n", "\n" + " " * max(len(label), 4))


class RunError(OvermemError, ValueError):
    """A run folder that cannot be read as a sequence of checkpoints."""


class NoCheckpointError(RunError):
    """A run folder without a checkpoint that can be read; a training may still write one."""


class CheckpointError(OvermemError, ValueError):
    """One checkpoint that cannot be loaded; the others still can."""


class WeightsChangedError(CheckpointError):
    """A checkpoint whose files changed while it was measured; the others stand."""


class ConsentError(CheckpointError):
    """A model or adapter whose files would run or load what only this command's consent may."""


class DataError(OvermemError, ValueError):
    """A data file, row or prompt that cannot be used."""


class RecipeError(OvermemError, ValueError):
    """A recipe with an unknown key or an impossible value."""


class ArtifactError(OvermemError, ValueError):
    """An artifact that is missing, damaged or of another schema version."""


class EngineError(OvermemError, RuntimeError):
    """A server that does not answer, or answers something else than was asked; rows that were saved stay."""


class WorkerError(OvermemError, RuntimeError):
    """Workers on other devices that cannot be had or do not stay alive; rows that were saved stay."""


class GradeError(OvermemError, ValueError):
    """A grader that is unknown or lacks what it needs."""


class MergeError(OvermemError, ValueError):
    """Checkpoints that cannot be merged, or not in the way that was asked for."""


class UnknownOptionError(OvermemError, TypeError):
    """A keyword that a function does not have; the nearest that it has is named."""


class WrongArgumentError(OvermemError, TypeError):
    """A call from Python that lacks an argument or has one of a wrong type; it is named."""


class MissingExtraError(OvermemError, ImportError):
    """A package that only an extra installs, and that is missing or of another version."""


class StorageError(OvermemError, OSError):
    """A disk that has no room left, or a folder that cannot be written to; what was saved before stays."""
