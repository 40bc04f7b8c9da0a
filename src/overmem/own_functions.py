"""Functions of the user's own, by name: `python:path/to/file.py:function` or `python:module:function`.

Naming one runs its code, so the name alone says where the code lies. A file is the one that is named. A
module is found where Python was told to look (installed, or on PYTHONPATH), and the current folder is not
added: it may be a run that somebody else shared.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from overmem.boundary import real_path
from overmem.errors import OvermemError

PREFIX = "python:"
FAULTS = (Exception, SystemExit)
"""What the user's code may raise and is told of: a function that ends the process ends no audit."""
EXPECTED = "python:path/to/file.py:function, or python:module:function"


def is_own_function(name: str | None) -> bool:
    """Whether the name of a grader or a renderer stands for a function of the user's."""
    return name is not None and name.startswith(PREFIX)


def find_own_function(name: str, what: str, error: type[OvermemError]) -> Callable[..., Any]:
    """The function, after its file or module was run.

    Args:
        name: `python:...`, as the user wrote it.
        what: it is for, in errors: `grader`, `renderer`.
        error: raised where there is no such function.

    Raises:
        OvermemError: as `error`; the name is malformed, nothing is there, or running it failed.
    """
    place, _, function = name.removeprefix(PREFIX).rpartition(":")
    if not place or not function:
        raise error(f"malformed {what} `{name}`", expected=EXPECTED)
    try:
        module = _run_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
        found = getattr(module, function, None)
    except FAULTS as problem:
        raise error(
            f"cannot import the {'file' if place.endswith('.py') else 'module'} of {what} `{name}`",
            got=said_by(problem),
            expected=EXPECTED,
            next_step=_next_step(place, function),
        ) from problem
    if not callable(found):
        raise error(f"`{place}` has no function `{function}`", got=type(found).__name__)
    return found  # type: ignore[no-any-return]


def said_by(fault: BaseException) -> str:
    """What an error of the user's code says, with its kind; the kind alone where its text cannot be had."""
    try:
        return f"{type(fault).__name__}: {fault}"
    except FAULTS:
        return type(fault).__name__


def _run_file(path: Path) -> ModuleType:
    """A file as a module, once a process."""
    path = real_path(path.expanduser())
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    name = f"_overmem_own_{hashlib.sha256(str(path).encode(errors='surrogateescape')).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _next_step(place: str, function: str) -> str:
    if place.endswith(".py"):
        return "check the path; what the file imports must be installed, or on PYTHONPATH"
    here = Path(*place.split(".")).with_suffix(".py")
    if here.is_file():
        return (
            f"the current folder is not searched: if you trust {here}, name it, as {PREFIX}{here}:{function}"
        )
    return "name the file that holds it, install the module, or set PYTHONPATH"
