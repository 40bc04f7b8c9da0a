"""Children forked from a process that has imported everything and runs nothing itself.

Threads of torch and polars would not live on in a child, so the parent only imports.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import pkgutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_NOT_IMPORTED = ("overmem.workers", "overmem.__main__")
_IMPORTED_LATE = (
    "transformers.models.llama.modeling_llama",
    "peft",
    "safetensors.torch",
    "torch._dynamo",
    "pyarrow.parquet",
)


def import_all() -> None:
    """Import what the commands import, and make once what each of them would make."""
    import overmem
    from overmem.cli.screen import visible_streams

    with visible_streams():  # as when the command line imports them: what libraries log goes through them
        import torch

        torch.set_num_threads(1)
        for module in pkgutil.walk_packages(overmem.__path__, "overmem."):
            name = module.name
            if not name.startswith(_NOT_IMPORTED) and "worker" not in name and "sandbox" not in name:
                with suppress(ImportError):
                    importlib.import_module(name)
        for name in _IMPORTED_LATE:
            importlib.import_module(name)
        for split in ("train", "val", "test"):
            importlib.import_module("overmem.synthetic.wordmath").load_split(split)
        # Transformers compiles a thousand patterns when a first model is loaded: a third of a small audit.
        with suppress(ImportError, AttributeError):
            importlib.import_module("transformers.conversion_mapping").get_checkpoint_conversion_mapping(
                "llama"
            )
    gc.collect()
    gc.freeze()


def fork(body: Callable[[], object], stdout: Path, stderr: Path) -> int:
    """Run a function in a child whose standard streams are files.

    Args:
        body: what it does; what it returns is not looked at.
        stdout: what it prints is added here.
        stderr: the same of errors.

    Returns:
        The child's process id; see `wait`.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        for number, path in ((1, stdout), (2, stderr)):
            file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
            os.dup2(file, number)
            os.close(file)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = (_stream(number) for number in (1, 2))
        body()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def wait(pid: int, seconds: float) -> int | None:
    """The exit code of a child; None where it was killed, with what it started, after so many seconds."""
    until = time.monotonic() + seconds
    pause = 0.002
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            _kill_all(pid)
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(0.02, pause * 1.2)
    _kill_all(pid)
    os.waitpid(pid, 0)
    return None


def _kill_all(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _stream(number: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(open(number, "wb", closefd=False), encoding="utf-8", write_through=True)
