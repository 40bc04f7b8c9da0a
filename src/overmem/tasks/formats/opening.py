"""Open a data file as UTF-8 text, line by line, through gzip or Zstandard where its name says so.

Lines come as they are read, so that the first rows of a large file cost no more than themselves.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from overmem.errors import DataError

COMPRESSIONS = (".gz", ".zst")
"""Endings of compressed text; the ending before it names the format."""

MOST_ROW_BYTES = 4 * 2**20
"""Of one row: some million tokens. Tokenizing as much takes up to 20 seconds, and longer ones would hang."""
_MOST_COUNTED = 256 * MOST_ROW_BYTES
"""How far the end of a longer line is looked for, to say its size."""
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def format_suffix(path: Path) -> str:
    """The ending that names the format, lower case: `.jsonl` of `a.jsonl.gz`."""
    name = path.name.lower()
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    return Path(name).suffix


def read_lines(path: Path, most_bytes: int = -1) -> Iterator[str]:
    r"""Yield the lines of a text file with their ends; only `\n` ends one, and a byte order mark is left out.

    Args:
        path: the file.
        most_bytes: the longest line that may be; -1 for any.

    Raises:
        DataError: the file cannot be opened or decompressed, is not UTF-8 text, or has a longer line.
    """
    try:
        with _open(path) as stream:
            read = number = 0
            while line := stream.readline(most_bytes + 1 if most_bytes >= 0 else -1):
                number += 1
                if len(line) > most_bytes >= 0:
                    rest = _rest_of_line(stream)
                    raise oversized_row(f"{path}, line {number}", None if rest is None else len(line) + rest)
                if read == 0:
                    _check_start(path, line)
                    line = line.removeprefix(codecs.BOM_UTF8)
                yield _decode(path, line, read)
                read += len(line)
    except (OSError, EOFError, zlib.error) as error:
        compressed = path.suffix.lower() in COMPRESSIONS
        raise DataError(
            f"{path} cannot be decompressed" if compressed else f"cannot open {path}",
            got=getattr(error, "strerror", None) or str(error),
            next_step="the file may be cut short: fetch or compress it again" if compressed else "",
        ) from error


def read_text(path: Path) -> str:
    """The whole text of a file.

    Raises:
        DataError: as `read_lines`, or there is nothing but whitespace in it.
    """
    text = "".join(read_lines(path))
    if not text.strip():
        raise empty_file(path)
    return text


def empty_file(path: Path) -> DataError:
    """The error of a file without a row."""
    return DataError(f"{path} is empty", expected="at least one example")


def oversized_row(where: str, n_bytes: int | None = None) -> DataError:
    """The error of a row that is too long to be one, of so many bytes where that is known."""
    size = "more" if n_bytes is None else f"{n_bytes / 2**20:,.1f} MiB"
    return DataError(
        f"{where} is too long to be one row",
        got=size,
        expected=f"at most {MOST_ROW_BYTES / 2**20:.0f} MiB",
        next_step="split it, or drop it or its long column; in JSONL every record ends with a line break",
    )


def _rest_of_line(stream: IO[bytes]) -> int | None:
    counted = 0
    while counted < _MOST_COUNTED:
        piece = stream.readline(2**20)
        counted += len(piece)
        if not piece or piece.endswith(b"\n"):
            return counted
    return None


def shorten(text: str, limit: int = 100) -> str:
    """A text cut to fit a message."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _open(path: Path) -> IO[bytes]:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if suffix == ".zst":
        return _open_zstd(path)
    return path.open("rb")


def _open_zstd(path: Path) -> IO[bytes]:
    import pyarrow

    if not pyarrow.Codec.is_available("zstd"):
        raise DataError(
            f"cannot read {path}: this pyarrow was built without Zstandard",
            next_step="decompress it (`zstd -d`), or compress it with gzip",
        )
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty", expected="at least one example")
    return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))


def _check_start(path: Path, line: bytes) -> None:
    """Say in words what the first bytes of other encodings and formats mean."""
    for magic, name in ((_GZIP_MAGIC, "gz"), (_ZSTD_MAGIC, "zst")):
        if line.startswith(magic):
            raise DataError(
                f"{path} is compressed, and its name does not say so",
                next_step=f"rename it to {path.name}.{name}",
            )
    if line.startswith(_UTF16) or b"\0" in line:
        raise DataError(
            f"{path} is not UTF-8 text",
            got="UTF-16 text" if line.startswith(_UTF16) else f"a zero byte at offset {line.index(0)}",
            next_step=f"save it as UTF-8: iconv -f UTF-16 -t UTF-8 {path.name} > utf8-{path.name}"
            if line.startswith(_UTF16)
            else "",
        )


def _decode(path: Path, line: bytes, offset: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text",
            got=f"byte {line[error.start]:#04x} at offset {offset + error.start}",
            next_step=f"save it as UTF-8: iconv -f LATIN1 -t UTF-8 {path.name} > utf8-{path.name}",
        ) from error
