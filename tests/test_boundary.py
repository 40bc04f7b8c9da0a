"""What a library raises is one error of ours, and what is no fault of the input passes through."""

import errno
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from overmem.boundary import library_call, real_path, reason, unprinted_panics, writing
from overmem.errors import CheckpointError, DataError, StorageError
from tests.helpers.tokenizers import PANICS

STOP = [KeyboardInterrupt, SystemExit, MemoryError, GeneratorExit]


@pytest.mark.parametrize(
    "raised", [KeyError("zz"), TypeError("int"), RecursionError(), OSError(2, "gone", "f")]
)
def test_any_exception_of_a_library_is_one_of_ours(raised):
    with (
        pytest.raises(DataError, match="what cannot be done") as found,
        library_call("what cannot be done", DataError, expected="e", next_step="n"),
    ):
        raise raised
    assert found.value.__cause__ is raised
    assert (found.value.expected, found.value.next_step) == ("e", "n") and found.value.got


def test_a_panic_in_rust_is_one_too_and_prints_nothing(capfd):
    damaged = Tokenizer.from_str(PANICS)
    with (
        pytest.raises(CheckpointError, match="cannot be read"),
        library_call("it cannot be read"),
        unprinted_panics(),
    ):
        damaged.encode("a")
    print("heard again", file=sys.stderr)
    assert capfd.readouterr().err == "heard again\n"


@pytest.mark.parametrize("stop", STOP)
def test_ctrl_c_and_the_end_of_memory_pass_through(stop):
    with pytest.raises(stop), library_call("x"):
        raise stop
    with pytest.raises(stop), writing(Path("x")):
        raise stop


def test_an_error_of_ours_stays_as_it_is():
    with pytest.raises(DataError, match="first"), library_call("second"):
        raise DataError("first")


def from_rust() -> None:
    raise ValueError("Error while serializing: I/O error: No space left on device (os error 28)")


def wrapped() -> None:
    raise RuntimeError("cannot save") from OSError(errno.EDQUOT, "Disk quota exceeded")


def plain() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("fill", [from_rust, wrapped, plain])
def test_a_full_disk_is_one_error_whoever_says_it(fill):
    with (
        pytest.raises(StorageError, match=r"disk is full[\s\S]*at /a[\s\S]*free some space"),
        writing(Path("/a/b")),
    ):
        fill()
    with pytest.raises(StorageError, match="disk is full"), library_call("x"):
        fill()
    with pytest.raises(ValueError, match="another"), writing(Path("/a/b")):
        raise ValueError("another")


def test_the_reason_is_the_line_that_says_it():
    assert reason(RuntimeError("Error(s) in loading state_dict for M:\n\tsize mismatch")) == "size mismatch"
    assert (
        reason(ValueError("Validation error for field 'x':\n    TypeError: got str")) == "TypeError: got str"
    )
    assert reason(KeyError("zz")) == "KeyError: 'zz'" and reason(RecursionError()) == "RecursionError"
    assert len(reason(ValueError("x" * 9_999))) == 200


def test_a_path_that_somebody_else_named_is_never_an_error(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to("there")
    assert real_path(tmp_path / "loop").name == "loop"
    assert real_path(tmp_path / "link") == real_path(tmp_path) / "there"
    assert real_path("a\0b") == Path("a\0b")
