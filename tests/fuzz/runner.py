"""One case after another, each in a child forked from this process, in its own copy of the material.

This process imports everything and runs nothing: threads of torch and polars would not live on in a child.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.fuzz.judge import Ended, changed_files, faults, snapshot, unreadable
from tests.fuzz.material import make_material
from tests.helpers.forked import fork, import_all, wait

LIMIT_SECONDS = 30.0
MEMORY_BYTES = 12 << 30
"""Of addresses: a size of 10**12 in a configuration is refused instead of filling the machine."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one case."""

    case: str
    code: int | None
    seconds: float
    faults: dict[str, str] = field(default_factory=dict)
    """By name, with a few words; empty where all is well."""
    arguments: list[str] = field(default_factory=list)
    message: str = ""
    """The end of what it printed to standard error."""


def warm_up() -> None:
    """Import what the commands import, once."""
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
        "TOKENIZERS_PARALLELISM": "false",
    }
    import_all()


def prepare(folder: Path) -> Path:
    """Make the material in `folder/material`, where it is not yet there."""
    from filelock import FileLock

    material = folder / "material"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if not material.is_dir():
            _make(folder, material)
    return material


def _make(folder: Path, material: Path) -> None:
    making = folder / "making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    code = wait(fork(lambda: make_material(making), folder / "making.out", folder / "making.err"), 300)
    if code != 0:
        raise RuntimeError((folder / "making.err").read_text()[-4000:])
    making.rename(material)


def run_case(
    case: str,
    plan: Callable[[Random], list[str]],
    material: Path,
    folder: Path,
    *,
    limit: float = LIMIT_SECONDS,
    keep: bool = False,
) -> Result:
    """Run one case.

    Args:
        case: its name, which is its seed.
        plan: changes the current folder and says the command line; see `tests.fuzz.kinds`.
        material: see `prepare`.
        folder: for its copy of the material, which is removed afterwards.
        limit: seconds after which it is ended.
        keep: leave the copy there.
    """
    shutil.rmtree(folder, ignore_errors=True)
    work = folder / "work"
    shutil.copytree(material, work, copy_function=os.link)
    names = [folder / name for name in ("arguments", "before", "stdout", "stderr")]

    def child() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        os.chdir(work)
        arguments = plan(Random(case))
        names[0].write_bytes(b"\0".join(os.fsencode(_given(part)) for part in arguments))
        (folder / "ready").touch()
        while (folder / "ready").exists():
            time.sleep(0.001)
        sys.argv = ["overmem", *(_given(part) for part in arguments)]
        from overmem.cli import main

        main()

    started = time.monotonic()
    pid = fork(child, names[2], names[3])
    while not (folder / "ready").exists() and time.monotonic() - started < limit:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
        time.sleep(0.001)
    before = snapshot(work)
    (folder / "ready").unlink(missing_ok=True)
    code = wait(pid, limit)
    seconds = time.monotonic() - started
    stdout, stderr = (path.read_bytes() for path in names[2:])
    if not names[0].exists():
        said = stderr.decode("utf-8", "backslashreplace")[-3000:]
        return Result(case=case, code=code, seconds=seconds, faults={"not made": said})
    arguments = [os.fsdecode(part) for part in names[0].read_bytes().split(b"\0")]
    ended = Ended(code=code, stdout=stdout, stderr=stderr, folder=work, before=before, arguments=arguments)
    found = faults(ended)
    if "half-written" not in found and code is not None and (why := _check_readers(ended, folder)):
        found["half-written"] = why
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    message = stderr.decode("utf-8", "backslashreplace")[-1500:]
    return Result(case=case, code=code, seconds=seconds, faults=found, arguments=arguments, message=message)


def _given(argument: str) -> str:
    """An argument as a process can be given one: without NUL, and of what the file system's encoding has."""
    return os.fsdecode(argument.replace("\0", "").encode("utf-8", "surrogateescape"))


def _check_readers(ended: Ended, folder: Path) -> str:
    """Read what was written in another child: reading starts threads."""
    files = [
        path
        for path in changed_files(ended)
        if path.suffix in (".parquet", ".json") and "overmem" in path.parts
    ]
    if not files:
        return ""

    def child() -> int:
        print(unreadable(files))
        return 0

    code = wait(fork(child, folder / "readers", folder / "readers.err"), 60)
    said = (folder / "readers").read_text() + (folder / "readers.err").read_text()
    return said.strip() if code == 0 else f"the readers ended with {code}: {said}"
