"""Rows of several files as one table, in the order of their identity, a part of it at a time.

An audit of long references has more tokens than fit into memory, and its batches come in the order of their
lengths. So only what names the rows is read of all files at once; the rows themselves follow part by part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from overmem.artifacts.tables import IDENTITY, SCHEMAS, Rows, read_rows_file

MOST_BYTES = 12 << 20
"""Of one part, as it lies on the disk; in memory it is some times that."""


def names_of(files: Sequence[Path], rows: Rows) -> pl.DataFrame:
    """The identity of the rows of these files, each once: that of the first file that has it.

    Args:
        files: of one table.
        rows: which table.

    Returns:
        The columns of the identity, `file` (which of the files) and `bytes` (a row's share of its file).

    Raises:
        ArtifactError: a file is damaged.
    """
    kinds = {name: SCHEMAS[rows][name] for name in IDENTITY[rows]}
    found = [pl.DataFrame(schema=kinds | {"file": pl.Int64, "bytes": pl.Int64})]
    for number, path in enumerate(files):
        names = read_rows_file(path, rows, IDENTITY[rows])
        share = path.stat().st_size // max(1, len(names))
        found.append(names.with_columns(file=pl.lit(number, pl.Int64), bytes=pl.lit(share, pl.Int64)))
    return pl.concat(found).unique(subset=IDENTITY[rows], keep="first", maintain_order=True)


def merged(files: Sequence[Path], rows: Rows, names: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Rows of these files, sorted by identity, in parts of about `MOST_BYTES`; at least one part.

    Args:
        files: of one table.
        rows: which table.
        names: which rows, of those that `names_of` gives of the same files.

    Raises:
        ArtifactError: a file is damaged.
    """
    identity = list(IDENTITY[rows])
    ordered = names.sort(identity).with_columns(part=pl.col("bytes").cum_sum() // MOST_BYTES)
    if not len(ordered):
        yield pl.DataFrame(schema=SCHEMAS[rows])
    for part in ordered.partition_by("part", maintain_order=True):
        found = []
        for (number,), wanted in part.partition_by("file", as_dict=True).items():
            ids = wanted["example_id"].unique().to_list()
            table = read_rows_file(files[number], rows, list(SCHEMAS[rows]), ids)
            found.append(table.unique(subset=identity, keep="first").join(wanted, on=identity, how="semi"))
        yield pl.concat(found).sort(identity)
