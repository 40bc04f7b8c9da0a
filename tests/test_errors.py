"""Errors that a user can act on: one message of four parts, and the standard error that a caller expects."""

import pytest

from overmem import errors
from overmem.errors import OvermemError

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


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_is_the_standard_error_of_its_kind(kind):
    failed = kind.__name__ in ("EngineError", "WorkerError")
    with pytest.raises(RuntimeError if failed else ValueError, match="what"):
        raise kind("what")
    assert issubclass(kind, OvermemError) and len(KINDS) == 9
