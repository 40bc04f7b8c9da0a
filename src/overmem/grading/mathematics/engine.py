"""math-verify, asked through a process of its own.

sympy can hang in a single operation on large numbers, where no signal and no thread can stop it, and
math-verify's own time limits work in the main thread only. A process can be killed from any thread. It is
started on first use, which takes about a second, and kept.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from overmem.errors import GradeError

WALL_SECONDS = 20.0
"""For one comparison; the process itself stops after 3 seconds of computing, this is for when it cannot."""
START_SECONDS = 120.0
"""To import sympy, on a busy machine."""

_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from overmem.grading.mathematics.engine_worker import main; main()"
)
_LOCK = threading.Lock()


def verify(gold: str, answer: str) -> bool:
    """Whether math-verify takes two LaTeX answers for the same; False where it cannot say in time.

    Args:
        gold: the reference answer.
        answer: the model's.

    Raises:
        GradeError: this machine starts no process.
    """
    line = json.dumps([gold, answer]) + "\n"
    with _LOCK:
        return _worker().ask(line) == "1"


class _Worker:
    """One process that compares; whoever asks waits for the answer or kills it."""

    def __init__(self) -> None:
        root = str(Path(__file__).parents[3])
        # -P: the current folder, which may be a run that somebody else shared, is not searched for modules.
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, root],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            raise GradeError(
                "cannot start the process that compares mathematics",
                got=f"{type(error).__name__}: {error}",
                next_step="see how many processes this machine allows, or use the grader `exact`",
            ) from error
        self.owner = os.getpid()
        if self._line(START_SECONDS) != "ready":
            self.close()
            raise GradeError(
                "the process that compares mathematics did not start",
                got=f"exit status {self.process.returncode}",
                expected="math-verify, which overmem depends on",
                next_step="reinstall overmem, and try `python -c 'import math_verify'`",
            )

    def ask(self, line: str) -> str:
        """One line for one line; empty where the process had to be ended."""
        with suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.write(line)
            self.process.stdin.flush()
        answer = self._line(WALL_SECONDS)
        if not answer:
            self.close()
        return answer

    def _line(self, seconds: float) -> str:
        """The next line; a timer kills the process where it takes too long, which ends the wait."""
        timer = threading.Timer(seconds, self.process.kill)
        timer.daemon = True
        timer.start()
        try:
            assert self.process.stdout is not None
            return self.process.stdout.readline().strip()
        finally:
            timer.cancel()

    def alive(self) -> bool:
        return self.owner == os.getpid() and self.process.poll() is None

    def close(self) -> None:
        """End the process, which is this one's child."""
        if self.owner != os.getpid():
            return
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


_current: _Worker | None = None


def _worker() -> _Worker:
    global _current
    if _current is None or not _current.alive():
        if _current is not None:
            _current.close()
        else:
            atexit.register(_close)
        _current = _Worker()
    return _current


def _close() -> None:
    if _current is not None:
        _current.close()


def _unlock_in_child() -> None:
    """A process that was forked while another thread compared would wait for that thread for ever."""
    global _LOCK
    _LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_in_child)
