"""Every module has a test that is found: tests/ mirrors src/overmem, by name or by a line that says where.

A test file is called after the module or the package that it tests. What it also tests it names in its
docstring, `Covers: overmem.stats.checks, overmem.stats.intervals`, one such line a file.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT, SRC

TESTS = ROOT / "tests"
OF_THE_REPOSITORY = {
    "fuzz/test_fuzz.py",
    "test_architecture.py",
    "test_benchmarks.py",
    "test_devices.py",
    "test_distribution.py",
    "test_docs.py",
    "test_mirror.py",
    "test_platforms.py",
    "test_shared_runs.py",
}
"""What these test is no module of the package."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


def holds_something(path: Path) -> bool:
    """Whether there is anything to test: more than names for types, or what an `__init__` hands on."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    if path.name == "__init__.py":
        return any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in body)
    names = ast.Import | ast.ImportFrom | ast.Expr
    return not all(
        isinstance(node, names) or (isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript))
        for node in body
    )


MODULES = {module_name(path): path for path in (SRC / "overmem").rglob("*.py")}
FILES = sorted(path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))


def mirrored(file: Path) -> str:
    """The module or package that a test file is called after."""
    return ".".join(("overmem", *file.parent.parts, file.stem.removeprefix("test_")))


@cache
def covered(file: Path) -> list[str]:
    """The modules that a test file says it covers."""
    return read_covers(ast.get_docstring(ast.parse((TESTS / file).read_text(encoding="utf-8"))) or "")


def read_covers(docstring: str) -> list[str]:
    lines = [line for line in re.split(r"\n(?=Covers: )|\n\n", docstring) if line.startswith("Covers: ")]
    assert len(lines) <= 1, "one `Covers:` line a file"
    return [name.strip() for name in lines[0].removeprefix("Covers: ").split(",")] if lines else []


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_test_file_is_called_after_what_it_tests(file):
    if file.parts[0] == "docs":
        page = f"{file.stem.removeprefix('test_')}.md"
        assert (ROOT / "docs" / page).is_file(), f"no docs/{page}"
    elif str(file) not in OF_THE_REPOSITORY:
        assert mirrored(file) in MODULES, f"{mirrored(file)} does not exist"
    unknown = [name for name in covered(file) if name not in MODULES]
    assert not unknown, f"`Covers:` names what does not exist: {unknown}"


@pytest.mark.parametrize("name", [name for name, path in MODULES.items() if holds_something(path)])
def test_a_module_has_a_test_file(name):
    by_name = [str(file) for file in FILES if mirrored(file) == name]
    by_line = [str(file) for file in FILES if name in covered(file)]
    assert by_name or by_line, (
        f"add {'/'.join(name.split('.')[1:-1])}/test_{name.split('.')[-1]}.py or a `Covers:` line"
    )
    assert not (by_name and by_line), f"{by_line} covers what has a file of its own, {by_name}"
    assert len(by_line) <= 1, f"one file covers a module, not {by_line}"


def test_helpers_hold_no_tests():
    held = [
        path for path in (TESTS / "helpers").rglob("*.py") if re.search(r"^def test_", path.read_text(), re.M)
    ]
    assert not held


@pytest.mark.parametrize(
    ("docstring", "names"),
    [
        ("What it tests.", []),
        ("What it tests.\n\nCovers: overmem.a, overmem.b", ["overmem.a", "overmem.b"]),
        ("What it tests.\n\nCovers: overmem.a,\novermem.b\n\nMore.", ["overmem.a", "overmem.b"]),
    ],
)
def test_the_line_is_read(docstring, names):
    assert read_covers(docstring) == names
