"""Benchmarks are run by hand, so at least every name that they take from overmem must be there."""

import ast
import importlib
from importlib.util import find_spec

import pytest

from tests.helpers.paths import ROOT

FILES = sorted((ROOT / "benchmarks").rglob("*.py"))


def is_there(module, name):
    """Whether a module has the name, or is a package with a module of the name."""
    found = importlib.import_module(module)
    return hasattr(found, name) or (hasattr(found, "__path__") and find_spec(f"{module}.{name}") is not None)


def missing(file):
    """Names that a file takes from overmem or the tests' helpers, within functions too, and that are gone."""
    return [
        f"line {node.lineno}: {node.module}.{alias.name}"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("overmem", "tests")
        for alias in node.names
        if not is_there(node.module, alias.name)
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_name_that_a_benchmark_takes_is_there(file):
    assert missing(file) == []


def test_a_name_that_is_gone_is_found(tmp_path):
    file = tmp_path / "one.py"
    file.write_text(
        "def f():\n    from overmem.records import Verdict, Guest\n    from overmem import stats\n"
    )
    assert missing(file) == ["line 2: overmem.records.Guest"]
