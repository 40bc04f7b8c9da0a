"""The program inside the sandbox: it locks itself in, checks the lock, and runs an answer and its tests.

It is started by `overmem.grading.sandbox.run` in an interpreter of its own, before which nothing of the
answer runs, and imports the standard library alone. What it says goes through one pipe, a line each:

    locked               every protection was put up, tried, and holds
    missing WHAT         one does not; nothing was run
    read OUTLINE         the answer is Python; its syntax, by which answers vote
    unreadable           it is not
    the pass word        all tests have passed
"""

from __future__ import annotations

import ctypes
import marshal
import os
import resource
import sys
from collections.abc import Mapping
from typing import Any

LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo")
"""What may be read beside the standard library: shared libraries that its modules load."""
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 1, 38, 22
_ONLY_TREE = 0x400
"""`ast.PyCF_ONLY_AST`, without importing ast."""


def main(control: int) -> None:
    """Run one job.

    Args:
        control: descriptor of the pipe to report on; the job is on standard input.
    """
    with open(0, "rb", closefd=False) as given:
        job = marshal.loads(given.read())
    nothing = os.open(os.devnull, os.O_RDONLY)
    # The job holds the pass word, and could be read again.
    os.dup2(nothing, 0)
    os.close(nothing)
    missing = restrict_process(job)
    report(control, f"missing {missing}" if missing else "locked")
    program = None if missing else assemble(job["prefix"], job["code"], job["entry_point"])
    if program is not None:
        report(control, f"read {normalized_syntax(program)}")
        run(job["setup"], program, job["tests"])
        report(control, job["password"])
    elif not missing:
        report(control, "unreadable")
    os._exit(0)


def report(control: int, line: str) -> None:
    """Write one line, whole."""
    left = line.encode() + b"\n"
    while left:
        left = left[os.write(control, left) :]


def run(setup: str, program: str, tests: str) -> None:
    """Run the answer and then its tests in one module, which is not `__main__`; raises what they raise."""
    module = type(sys)("answer")
    sys.modules["answer"] = module
    for name, source in (("<setup>", setup), ("<answer>", program), ("<tests>", tests)):
        exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)


# What the answer is.


def assemble(prefix: str, code: str, entry_point: str) -> str | None:
    """The whole program that an answer means; None when it is not Python.

    A model may go on talking, or be cut short: of the code, as many lines from its start count as make a
    program. Where the prompt is the start of a program (`prefix`), code that defines the entry point by
    itself stands after it, and all other code continues it.

    Args:
        prefix: start of the program in the prompt, or empty.
        code: what the model wrote.
        entry_point: name of the function that is tested, or empty.
    """
    alone = parsable_lines(code)
    if not prefix:
        return alone
    if alone is not None and entry_point and any(defines(node, entry_point) for node in parse(alone).body):
        return alone if parsable_lines(prefix) is None else f"{prefix}\n\n{alone}"
    return parsable_lines(prefix + code, after=prefix) or parsable_lines(prefix + spaced(code), after=prefix)


def defines(node: Any, name: str) -> bool:
    """Whether a statement defines a function by name: `def f`, `class f`, or `f = lambda ...`."""
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    return getattr(node, "name", None) == name or any(
        getattr(target, "id", None) == name for target in targets
    )


def spaced(code: str) -> str:
    """Code indented with four spaces for each tab, to go on with a prompt that is indented so."""
    lines = code.split("\n")
    return "\n".join(" " * 4 * (len(line) - len(line.lstrip("\t"))) + line.lstrip("\t") for line in lines)


def parsable_lines(source: str, after: str = "") -> str | None:
    """As many lines from the start as parse; None if only blanks would be left of what stands `after`."""
    lines = source.split("\n")
    while (kept := "\n".join(lines))[len(after) :].strip():
        try:
            return kept if parse(kept).body else None
        except SyntaxError as error:
            lines = lines[: min(len(lines), error.lineno or len(lines)) - 1]
        except (ValueError, RecursionError, MemoryError, OverflowError):
            return None
    return None


def parse(source: str) -> Any:
    """The syntax tree."""
    return compile(source, "<answer>", "exec", _ONLY_TREE, dont_inherit=True)


def normalized_syntax(program: str) -> str:
    """The program's syntax without layout, comments and docstrings; empty when it is nested too deeply."""
    try:
        return ascii(_syntax(parse(program)))
    except (RecursionError, ValueError):
        return ""


def _syntax(node: Any) -> Any:
    if isinstance(node, list):
        return tuple(_syntax(child) for child in node if not _is_docstring(child))
    if not hasattr(node, "_fields"):
        return node
    return (type(node).__name__, *(_syntax(getattr(node, name, None)) for name in node._fields))


def _is_docstring(node: Any) -> bool:
    """A text standing alone, as docstrings do."""
    is_expression = type(node).__name__ == "Expr"
    return is_expression and isinstance(getattr(node.value, "value", None), str)


# The lock.


def restrict_process(job: Mapping[str, Any]) -> str | None:
    """Give up everything that computing does not need, for good; the name of what could not be given up.

    Args:
        job: `cpu_seconds`, `memory_bytes`, `filter` (BPF) and `parent` (process id).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # The parent may have died before this; its death is to be ours.
    if libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0):
        return _failed("ending with its parent")
    if os.getppid() != job["parent"]:
        os._exit(0)
    for limit, value in (
        (resource.RLIMIT_CPU, (job["cpu_seconds"], job["cpu_seconds"] + 1)),
        (resource.RLIMIT_AS, (job["memory_bytes"],) * 2),
        (resource.RLIMIT_FSIZE, (0, 0)),
        (resource.RLIMIT_NOFILE, (64, 64)),
        (resource.RLIMIT_CORE, (0, 0)),
    ):
        resource.setrlimit(limit, value)
    if not _gave_up_capabilities(libc):
        return _failed("capabilities")
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return _failed("no_new_privs")
    return _landlock(libc) or _seccomp(libc, job["filter"]) or find_leak(libc, job["parent"])


def _gave_up_capabilities(libc: Any) -> bool:
    """Have no capability of any kind, even as root, and see that there is none left."""
    # Version 3 of the header, this process.
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    left = (ctypes.c_uint32 * 6)(*[1] * 6)
    if libc.capset(ctypes.byref(header), ctypes.byref(none)):
        return False
    return libc.capget(ctypes.byref(header), ctypes.byref(left)) == 0 and not any(left)


def _landlock(libc: Any) -> str | None:
    """Files: read the standard library and its shared libraries, and nothing else."""
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return _failed("Landlock (files)")
    # All rights over files that this kernel knows, then TCP ports, then signals and abstract sockets.
    n_rights = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)
    handled = ((1 << n_rights) - 1, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
    rules = (ctypes.c_uint64 * 3)(*handled)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(_LANDLOCK_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return _failed("Landlock (files)")
    for path in {*sys.path, os.path.dirname(os.path.dirname(os.__file__)), *LIBRARIES}:
        if not os.path.exists(path):
            continue
        rights = _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0)
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = ctypes.create_string_buffer(
            rights.to_bytes(8, sys.byteorder) + opened.to_bytes(4, sys.byteorder), 12
        )
        if libc.syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0):
            return _failed("Landlock (files)")
        os.close(opened)
    if libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0):
        return _failed("Landlock (files)")
    os.close(ruleset)
    return None


def _seccomp(libc: Any, program: bytes) -> str | None:
    """System calls: those of the policy, and no others."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))

    ready = Program(len(program) // 8, program)
    failed = libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(ready), 0, 0)
    return _failed("seccomp (network, processes)") if failed else None


def find_leak(libc: Any, parent: int) -> str | None:
    """Try to get out, and to do what must still be possible; the name of the first thing that went wrong."""
    if libc.socket(2, 2, 0) >= 0:
        return "network: a socket could be opened"
    child = libc.fork()
    if child == 0:
        os._exit(0)
    if child > 0:
        return "processes: another one could be started"
    if libc.kill(parent, 0) == 0:
        return "processes: others could be sent signals"
    for path in ("/", f"/proc/{parent}/environ", "/proc/self/environ"):
        if _opens(path, os.O_RDONLY):
            return f"files: {path} could be read"
    if _opens("written", os.O_WRONLY | os.O_CREAT):
        return "files: one could be written"
    if not _opens(os.__file__, os.O_RDONLY):
        return f"the standard library: {os.__file__} cannot be read"
    return None


def _opens(path: str, flags: int) -> bool:
    try:
        os.close(os.open(path, flags))
    except OSError:
        return False
    return True


def _failed(what: str) -> str:
    return f"{what}: {os.strerror(ctypes.get_errno())}"
