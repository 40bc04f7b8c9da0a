"""The command line in a process of its own, forked from one that has imported everything.

`run_command` answers like `subprocess.run(["overmem", ...])`. The process that is forked from runs nothing
itself, since threads of torch and polars would not live on in a child.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.helpers.paths import ROOT
from tests.helpers.processes import ALONE


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
        said = [(Path(folder) / name).read_bytes().decode() for name in ("stdout", "stderr")]
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


def _import_all() -> None:
    import overmem
    from overmem.cli.screen import visible_streams

    own = ("overmem.workers", "overmem.__main__")
    with visible_streams():  # as when the command line imports them: what libraries log goes through them
        for module in pkgutil.walk_packages(overmem.__path__, "overmem."):
            if not module.name.startswith(own) and "sandbox" not in module.name:
                with suppress(ImportError):
                    importlib.import_module(module.name)
        for name in ("transformers.models.llama.modeling_llama", "peft", "torch._dynamo"):
            importlib.import_module(name)


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _import_all()
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            _child(request)
        answers.write(json.dumps(_wait(pid, request["timeout"])) + "\n")
        answers.flush()


def _child(request: dict) -> None:
    code = 1
    try:
        os.setsid()
        for number, name in ((1, "stdout"), (2, "stderr")):
            file = os.open(Path(request["folder"]) / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.dup2(file, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", encoding="utf-8") for n in (1, 2))
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ |= request["env"]
        sys.argv = ["overmem", *request["arguments"]]
        from overmem.cli import main

        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, seconds: float) -> int | None:
    """The exit code of a child; None where it was ended after so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


if __name__ == "__main__":
    _serve()
