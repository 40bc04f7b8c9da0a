"""The command line in a process of its own, forked from one that has imported everything.

`run_command` answers like `subprocess.run(["overmem", ...])`. The process that is forked from runs nothing
itself, since threads of torch and polars would not live on in a child.
"""

from __future__ import annotations

import atexit
import json
import os
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
    """Run `overmem` with arguments; newlines are left as they are.

    Args:
        arguments: words after `overmem`.
        cwd: where; the tests' own folder if none is named.
        env: the whole environment; this one if none is given.
        timeout: seconds.

    Raises:
        subprocess.TimeoutExpired: it had not ended.
    """
    with tempfile.TemporaryDirectory() as folder:
        request = {
            "arguments": [str(word) for word in arguments],
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
    command = ["overmem", *request["arguments"]]
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
    sys.argv = ["overmem", *request["arguments"]]
    from overmem.cli import main

    main()


if __name__ == "__main__":
    _serve()
