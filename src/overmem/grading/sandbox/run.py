"""Run an answer and its tests in the sandbox, and say what came of it."""

from __future__ import annotations

import hashlib
import marshal
import os
import platform
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from overmem.errors import GradeError
from overmem.grading.sandbox.policy import seccomp_filter, unsupported_platform

_START = "import sys; sys.path.insert(0, sys.argv[1]); import inside; del sys.path[0]; inside.main({control})"
"""`inside` is imported from its folder, so that the package and what it needs are not."""
_CONTROL_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one answer may use."""

    cpu_seconds: int = 3
    """Of computing, in whole seconds; what a busy machine keeps waiting is not punished."""
    wall_seconds: float = 15.0
    """In all, sleeping included."""
    memory_bytes: int = 512 * 2**20
    """Of address space, the interpreter's own 30 MB included."""
    output_bytes: int = 64 * 2**10
    """Written to standard output and error; more ends the run."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an answer."""

    passed: bool
    """All tests ran to their end and none failed."""
    reason: str
    """`passed`, or why not: such as `AssertionError`, `time`, `output`, `not Python`."""
    form: str | None
    """A name for the program, the same for programs that differ in layout and comments alone."""
    output: str
    """What it printed, errors included, up to the limit."""


def run_code(
    code: str,
    tests: str,
    *,
    prefix: str = "",
    setup: str = "",
    entry_point: str = "",
    limits: Limits | None = None,
) -> Outcome:
    """Run Python that nobody has read against its tests, in a process that can do nothing but compute.

    Args:
        code: the answer.
        tests: run after it, in the same module; any exception means that the answer is wrong.
        prefix: start of the program that the answer goes on with, if it does.
        setup: run before the answer, such as imports that tests need.
        entry_point: name of the function that is tested; see `inside.assemble`.
        limits: of time, memory and output.

    Raises:
        GradeError: this machine cannot contain the code; then nothing of it was run.
    """
    if (reason := unsupported_platform()) is not None or not sys.executable:
        raise _no_sandbox(reason or "a Python that does not know its own interpreter")
    limits = limits or Limits()
    password = secrets.token_hex(16)
    job = {
        "code": code, "tests": tests, "prefix": prefix, "setup": setup, "entry_point": entry_point,
        "cpu_seconds": limits.cpu_seconds, "memory_bytes": limits.memory_bytes,
        "filter": seccomp_filter(platform.machine()), "parent": os.getpid(), "password": password,
    }  # fmt: skip
    control, output, ended = _run(job, limits)
    first, *lines = control.split("\n")
    if first != "locked":
        raise _no_sandbox(first.removeprefix("missing ") or f"no answer from it ({ended}): {output[-300:]}")
    read = lines[0].removeprefix("read ") if len(lines) > 1 and lines[0].startswith("read ") else None
    passed = read is not None and lines[1:] == [password, ""]
    return Outcome(
        passed=passed,
        reason="passed" if passed else ("not Python" if lines[:1] == ["unreadable"] else _why(ended, output)),
        form=hashlib.sha256(read.encode()).hexdigest()[:12] if read else None,
        output=output,
    )


@lru_cache(maxsize=1)
def check_sandbox() -> None:
    """Fail now rather than at the first answer where nothing can be contained.

    Raises:
        GradeError: names the protection that is missing.
    """
    run_code("x = 1", "assert x == 1")


def _run(job: dict[str, Any], limits: Limits) -> tuple[str, str, str]:
    """(what the sandbox said, what the answer printed, how it ended)."""
    control_read, control_write = os.pipe()
    output_read, output_write = os.pipe()
    try:
        with tempfile.TemporaryFile() as given, tempfile.TemporaryDirectory(prefix="overmem-") as folder:
            given.write(marshal.dumps(job))
            given.seek(0)
            process = subprocess.Popen(
                [os.path.realpath(sys.executable), "-I", "-S", "-u", "-W", "ignore", "-X", "utf8", "-c",
                 _START.format(control=control_write), str(Path(__file__).parent)],
                stdin=given, stdout=output_write, stderr=output_write, pass_fds=(control_write,),
                cwd=folder, env={}, start_new_session=True,
            )  # fmt: skip
            os.close(control_write)
            os.close(output_write)
            control_write = output_write = -1
            pipes = {control_read: _CONTROL_BYTES, output_read: limits.output_bytes}
            texts, ended = _follow(process, pipes, time.monotonic() + limits.wall_seconds)
    finally:
        for pipe in (control_read, control_write, output_read, output_write):
            if pipe >= 0:
                os.close(pipe)
    return texts[control_read], texts[output_read], ended


def _follow(
    process: subprocess.Popen[bytes], pipes: Mapping[int, int], deadline: float
) -> tuple[dict[int, str], str]:
    """Read the pipes, each up to its limit, until the process ends or has to be ended."""
    found = {pipe: b"" for pipe in pipes}
    ended = ""
    with selectors.DefaultSelector() as ready:
        for pipe in pipes:
            ready.register(pipe, selectors.EVENT_READ)
        try:
            while ready.get_map() and not ended:
                events = ready.select(max(0.0, deadline - time.monotonic()))
                ended = "" if events else "time"
                for key, _ in events:
                    chunk = os.read(key.fd, 1 << 16)
                    found[key.fd] += chunk
                    if not chunk:
                        ready.unregister(key.fd)
                    elif len(found[key.fd]) > pipes[key.fd]:
                        ended = "output"
            if not ended:
                process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            ended = "time"
        finally:
            # Its session is killed whole, though the sandbox lets it start no other process.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
    texts = {pipe: found[pipe][: pipes[pipe]].decode(errors="replace") for pipe in pipes}
    # The kernel ends what computes for too long, first in words and a second later by force.
    timed_out = code in (-signal.SIGXCPU, -signal.SIGKILL)
    return texts, ended or ("time" if timed_out else f"exit {code}")


def _why(ended: str, output: str) -> str:
    """The exception that ended the answer, as far as its last line tells, else how the process ended."""
    if ended in ("time", "output"):
        return ended
    last = output.rstrip().rpartition("\n")[2].partition(":")[0]
    return last if last.isidentifier() else ended


def _no_sandbox(reason: str) -> GradeError:
    return GradeError(
        "this machine cannot contain the code that models write, so none is run",
        got=reason,
        expected="Linux 5.13 or newer on x86_64 or aarch64, with Landlock and seccomp (docs/code.md)",
        next_step="run in such a Linux (a virtual machine will do), or measure likelihood: --grader none",
    )
