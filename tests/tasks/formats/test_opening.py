"""Opening text files: compression by name, encodings, and what is said of damaged ones."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pytest

from overmem.errors import DataError
from overmem.tasks.formats.opening import format_suffix, read_lines, read_text

TEXT = '{"a": "é\u2028"}\n\nlast without an end'


def compressed(path: Path, content: bytes) -> Path:
    if path.suffix == ".zst":
        with pyarrow.output_stream(str(path), compression="zstd") as stream:
            stream.write(content)
    else:
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "A.JSONL.ZST"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lines_are_the_same_however_they_are_stored(tmp_path: Path, name: str, mark: str) -> None:
    path = compressed(tmp_path / name.replace("ZST", "zst"), (mark + TEXT).encode())
    assert "".join(read_lines(path)) == TEXT
    assert len(list(read_lines(path))) == 3
    assert format_suffix(Path(name)) == ".jsonl"


@pytest.mark.parametrize("ending", [".gz", ".zst"])
@pytest.mark.parametrize("keep", [1, 10, 0.5, 0.99])
def test_a_cut_file_is_one_message_whatever_is_left_of_it(tmp_path: Path, ending: str, keep: float) -> None:
    path = compressed(tmp_path / f"a.jsonl{ending}", "".join(f"line {i}\n" for i in range(5000)).encode())
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(len(whole) * keep)])
    with pytest.raises(DataError, match=r"cannot be decompressed[\s\S]*cut short"):
        read_text(path)


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_what_is_not_compressed_at_all(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"a.jsonl{ending}").write_text("plain")
    with pytest.raises(DataError, match="cannot be decompressed"):
        read_text(tmp_path / f"a.jsonl{ending}")
    (tmp_path / f"a.jsonl{ending}").write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        read_text(tmp_path / f"a.jsonl{ending}")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("a,b".encode("utf-16"), ["UTF-16 text", "iconv -f UTF-16"]),
        ("a,b".encode("utf-16-le"), ["zero byte at offset 1"]),
        ("a\nbç".encode("latin-1"), ["byte 0xe7 at offset 3", "iconv -f LATIN1"]),
        (gzip.compress(b"a", mtime=0), ["compressed", "rename it to a.csv.gz"]),
        (b"\x28\xb5\x2f\xfdrest", ["compressed", "rename it to a.csv.zst"]),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, content: bytes, parts: list[str]) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_text(tmp_path / "a.csv")
    assert all(part in str(caught.value) for part in parts), caught.value


def test_an_old_build_of_pyarrow_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = compressed(tmp_path / "a.jsonl.zst", b"a")
    monkeypatch.setattr(pyarrow, "Codec", SimpleNamespace(is_available=lambda name: False))
    with pytest.raises(DataError, match="without Zstandard"):
        read_text(path)


def test_the_first_lines_are_read_without_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"fine\n" + b"\xff" * 10)
    lines = read_lines(path)
    assert next(lines) == "fine\n"
    with pytest.raises(DataError, match="offset 5"):
        next(lines)
