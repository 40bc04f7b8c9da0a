"""Parquet files that are checked when they are read: their schema's name, their types, and every page.

PyArrow reads them: over a damaged page it raises an error, where Polars ends a thread and prints its stack.
Pages are written with checksums, so that a bit that flips on the disk makes an error and no other figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet

from overmem.artifacts.files import whole_file
from overmem.boundary import library_call
from overmem.errors import ArtifactError

GROUP_BYTES = 8 << 20
"""Of a group of rows in a file, in memory."""
AGAIN = "move it away; the audit computes its rows again"


def schema_name(path: Path) -> str | None:
    """The name of the schema that overmem wrote into a file; None where there is none.

    Raises:
        ArtifactError: the file is damaged.
    """
    with _opened(path) as file:
        return _schema_of(file)


def spans_of(path: Path) -> list[tuple[int, int]]:
    """The groups of a file's rows, which can be read apart: the first row of each, and how many it has.

    Raises:
        ArtifactError: the file is damaged.
    """
    with _opened(path) as file:
        lengths = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    return list(zip(accumulate(lengths, initial=0), lengths, strict=False))


def read_table(
    path: Path, wanted: str, columns: Mapping[str, Any], span: tuple[int, int] | None = None
) -> pl.DataFrame:
    """The columns of a file, each of its type.

    Args:
        path: of the file.
        wanted: the name of its schema.
        columns: their names and types.
        span: its first row and how many; only groups of rows that hold some of them are read.

    Raises:
        ArtifactError: the file is damaged, or of another schema.
    """
    kinds = _arrow_schema(tuple(columns.items()))
    with _opened(path) as file:
        got = _schema_of(file)
        if got != wanted:
            raise ArtifactError(f"{path} has another schema", got=got, expected=wanted, next_step=AGAIN)
        stored = {field.name: field.type for field in file.schema_arrow}
        for kind in kinds:
            if stored.get(kind.name) != kind.type:
                raise ArtifactError(
                    f"{path}: the column `{kind.name}` is of another type",
                    got=stored.get(kind.name, "no such column"),
                    expected=kind.type,
                    next_step=AGAIN,
                )
        groups, skipped = _groups(file, span)
        read = file.read_row_groups(groups, columns=list(columns)).select(list(columns))
        read.validate(full=True)
        table = pl.DataFrame(pl.from_arrow(read.cast(kinds)))
    return table if span is None else table.slice(span[0] - skipped, span[1])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A Parquet file, with what fails over it as one error.

    PyArrow is given the open file: names that are no UTF-8 mean nothing to it.
    """
    with (
        library_call(f"{path} cannot be read", ArtifactError, next_step=AGAIN),
        path.open("rb") as opened,
        pyarrow.parquet.ParquetFile(opened, page_checksum_verification=True, pre_buffer=False) as file,
    ):
        yield file


def _schema_of(file: Any) -> str | None:
    """The name of the schema that overmem wrote into a file."""
    said = (file.metadata.metadata or {}).get(b"schema")
    return None if said is None else str(said, "utf-8", "backslashreplace")


def _groups(file: Any, span: tuple[int, int] | None) -> tuple[list[int], int]:
    """Which groups of a file's rows hold a span, and how many rows lie before the first of them."""
    every = range(file.num_row_groups)
    if span is None:
        return list(every), 0
    ends = list(accumulate(file.metadata.row_group(number).num_rows for number in every))
    starts = [0, *ends]
    held = [i for i in every if starts[i] < span[0] + span[1] and ends[i] > span[0]]
    return held, starts[held[0]] if held else 0


def write_table(parts: Iterable[pl.DataFrame], path: Path, columns: Mapping[str, Any], schema: str) -> None:
    """Write a table as a Parquet file that names its schema, whole or not at all.

    Each part is let go when it is written, and lies in the file in groups of rows that are read apart.

    Args:
        parts: one after another.
        path: of the file.
        columns: their names and types.
        schema: its name.
    """
    kinds = _arrow_schema(tuple(columns.items()))
    with (
        whole_file(path) as temporary,
        temporary.open("wb") as file,
        pyarrow.parquet.ParquetWriter(
            file,
            kinds.with_metadata({"schema": schema}),
            compression="zstd",
            use_dictionary=False,
            write_page_checksum=True,
        ) as writer,
    ):
        for part in parts:
            rows = max(1, len(part) * GROUP_BYTES // max(1, int(part.estimated_size())))
            writer.write_table(_to_arrow(part.select(list(columns))), row_group_size=rows)


@cache
def _arrow_schema(columns: tuple[tuple[str, Any], ...]) -> Any:
    return _to_arrow(pl.DataFrame(schema=dict(columns))).schema


def _to_arrow(table: pl.DataFrame) -> Any:
    return table.to_arrow(compat_level=pl.CompatLevel.oldest())
