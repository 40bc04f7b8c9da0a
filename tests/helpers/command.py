"""Python, and so the command line, in a process of its own, forked from one that has imported everything.

`run_command` answers like `subprocess.run(["overmem", ...])`, and `run_python` like the same of `python`. The
process that is forked from runs nothing itself: threads of torch and polars would not live on in a child.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import subprocess
import sys
import tempfile
from functools import cache, partial
from pathlib import Path

from tests.helpers.forked import fork, import_all, wait
from tests.helpers.paths import ROOT
from tests.helpers.processes import ALONE

STREAMS = ("stdout", "stderr")


def run_command(
    *arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run `overmem` with arguments; see `run_python`."""
    return run_python("-m", "overmem", *arguments, cwd=cwd, env=env, timeout=timeout)


def run_python(
    *words: object, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a module or a script; newlines are left as they are.

    Args:
        words: `-m` and a module, `-c` and a program, or a script; then its arguments.
        cwd: where; the tests' own folder if none is named.
        env: the whole environment; this one if none is given.
        timeout: seconds.

    Raises:
        subprocess.TimeoutExpired: it had not ended.
    """
    with tempfile.TemporaryDirectory() as folder:
        request = {
            "words": [str(word) for word in words],
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "folder": folder,
            "timeout": timeout,
        }
        warm = _warm_process()
        assert warm.stdin is not None and warm.stdout is not None
        warm.stdin.write(json.dumps(request) + "\n")
        warm.stdin.flush()
        code = json.loads(warm.stdout.readline())
        said = [(Path(folder) / name).read_bytes().decode() for name in STREAMS]
    command = [sys.executable, *request["words"]]
    if code is None:
        raise subprocess.TimeoutExpired(command, timeout, *said)
    return subprocess.CompletedProcess(command, code, *said)


@cache
def _warm_process() -> subprocess.Popen[str]:
    """One for a test process, started when it is first needed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.command"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env=ALONE | {"TOKENIZERS_PARALLELISM": "false"},
    )  # fmt: skip
    atexit.register(process.kill)
    return process


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import_all()
    for line in sys.stdin:
        request = json.loads(line)
        pid = fork(partial(_run, request), *(Path(request["folder"]) / name for name in STREAMS))
        answers.write(json.dumps(wait(pid, request["timeout"])) + "\n")
        answers.flush()


def _run(request: dict) -> None:
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ |= request["env"]
    first, *rest = request["words"]
    if request["words"][:2] == ["-m", "overmem"]:
        sys.argv = ["overmem", *rest[1:]]
        from overmem.cli import main

        main()
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = request["words"]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    _serve()
