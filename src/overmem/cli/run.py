"""One call of the command line: the process's settings, and what becomes of an error."""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback

from overmem.boundary import reason
from overmem.cli.diagnosis import diagnose_plain
from overmem.cli.screen import visible_streams
from overmem.errors import OvermemError, StorageError

SPINS = "5000"
"""Rounds that a waiting thread spins before it sleeps; measured by `benchmarks.waiting_threads`."""


def run() -> int:
    """Run the command line; a user's error prints one message.

    Returns:
        The exit code: 2 after a user's error, `INTERRUPTED` after Ctrl-C.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Helper processes of libraries (`python -c`) do not look for modules in the current folder either.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    if "OMP_WAIT_POLICY" not in os.environ:
        # PyTorch's threads spin while they wait for one another: beside another program for most of the time.
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    # From its first import on it tells of kernels that it does not have, then of every layer that it rounds.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name may be no UTF-8, and a terminal may take less than UTF-8.
            stream.reconfigure(errors="backslashreplace")
    with visible_streams():
        code = _answer()
        try:
            sys.stdout.flush()
        except OSError as error:
            # Python would complain once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                return 1  # nobody reads any more, such as after `head`
            if code != 2:  # else it was said
                print(f"overmem: {_of_disk(error)}", file=sys.stderr)
            return 2
    return code


def _open_closed_streams() -> None:
    """Put nowhere in the place of standard streams that are closed (`>&-`).

    Else the first files that are opened take their numbers, and libraries print into them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _answer() -> int:
    """Do what the command line says; the exit code."""
    try:
        if not diagnose_plain(sys.argv[1:]):
            from overmem.cli.app import app

            app(standalone_mode=True, windows_expand_args=False)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except OvermemError as error:
        print(f"overmem: {error}", file=sys.stderr)
    except MemoryError as error:
        print(f"overmem: the memory is used up {error}".rstrip(), file=sys.stderr)
    except BrokenPipeError:
        return 1
    except OSError as error:
        print(f"overmem: {_of_disk(error)}", file=sys.stderr)
    except Exception:
        # A fault of ours. Python itself would print it too late, past the streams that make it safe.
        traceback.print_exc()
        return 1
    else:
        return 0
    return 2


def _of_disk(error: OSError) -> StorageError:
    """What the disk or the network said, where no reader of the file put it in its own words."""
    return StorageError(
        "a file cannot be read or written" if error.filename is None else f"{error.filename} cannot be used",
        got=reason(error),
        next_step="check that it is an ordinary file or folder, and who may read and write it",
    )
