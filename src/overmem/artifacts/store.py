"""The only reader and writer of artifacts.

Everything overmem knows about a run lies in one folder, `RUN/overmem/`: JSON for records, Parquet
for per-example rows. Files appear whole or not at all (written under a temporary name, then
`os.replace`), every file names its schema version, and rows are keyed by the settings that made
them, so a killed audit resumes and changed settings never mix with old rows.

    manifest.json                     what was measured, with which versions, on which data
    <checkpoint>/likelihood.parquet   one row an example: token log-probabilities and more
    <checkpoint>/generations.parquet  one row an answer
    <checkpoint>/continuations.parquet  one row a reference whose second half was asked for
    <checkpoint>/divergences.parquet  one row an answer of the base model, as the checkpoint sees it
    texts.parquet                     the problems as the models saw them
    <checkpoint>/<rows>.parts/        batches of an audit in progress, merged when it ends; answers that are
                                      being written, kept once a minute
    verdict.json, report.html
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from overmem.artifacts.files import locked_folder
from overmem.artifacts.merge_files import merged, names_of
from overmem.artifacts.parquet import AGAIN, read_table, write_table
from overmem.artifacts.recently_read import RECENTLY_READ, stamps_of
from overmem.artifacts.run_records import RunRecords
from overmem.artifacts.tables import (
    IDENTITY,
    SCHEMAS,
    TEXT_SCHEMA,
    TEXTS,
    Rows,
    check_rows,
    check_rows_file,
    read_rows_file,
    table_of,
    write_rows_file,
)
from overmem.artifacts.temporary import clear_leftovers
from overmem.errors import ArtifactError

BASE_PREDICTIONS = ".base_predictions"
"""Folder of what the base model predicts, large and there only while an audit compares with it."""


class Store(RunRecords):
    """The artifacts of one run."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from measuring into these artifacts; the lock ends with the process.

        Raises:
            ArtifactError: another process has it.
        """
        taken = ArtifactError(
            f"another overmem is measuring into {self.root}",
            next_step="wait until it is done, or stop it; what it has measured is kept",
        )
        with locked_folder(self.root, taken):
            yield

    def read_rows(
        self,
        checkpoint: str,
        rows: Rows,
        row_key: str | None = None,
        columns: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """All rows of a checkpoint, unfinished batches included.

        Args:
            checkpoint: its name.
            rows: which table.
            row_key: keep only rows made with these settings.
            columns: read only these beside the identity; the per-token lists are large.
            ids: only rows of these examples.

        Raises:
            ArtifactError: a file is damaged.
        """
        files = self._files(checkpoint, rows)
        wanted = list(SCHEMAS[rows]) if columns is None else [*IDENTITY[rows], *columns]
        if ids is not None:
            return _read_files(files, rows, row_key, wanted, ids)
        key = stamps_of(files), rows, row_key, tuple(wanted)
        table = RECENTLY_READ.get(key, lambda: _read_files(files, rows, row_key, wanted))
        return table.clone()

    def check_saved(self, checkpoint: str) -> None:
        """Read all saved rows of a checkpoint once, so that damage is met before anything is replaced.

        Raises:
            ArtifactError: a file is damaged.
        """
        for rows in SCHEMAS:
            for path in self._files(checkpoint, rows):
                check_rows_file(path, rows)

    def append_rows(self, checkpoint: str, rows: Rows, batch: Sequence[Mapping[str, Any]]) -> None:
        """Save one batch at once, so that a kill loses at most the batch in flight."""
        parts = self._parts(checkpoint, rows)
        # Unique among processes, and sorted by time within one.
        name = f"{time.time_ns()}-{os.getpid()}.parquet"
        write_rows_file([table_of(batch, rows)], parts / name, rows)

    def unfinished(self, checkpoint: str, rows: Rows, name: str) -> Path:
        """The file of answers that are being written, beside the parts, with which it is removed."""
        return self._parts(checkpoint, rows) / f"{name}.unfinished"

    def compact_parts(self, checkpoint: str, rows: Rows) -> None:
        """Merge finished batches into the checkpoint's one Parquet file, sorted by identity."""
        clear_leftovers(self.root / checkpoint / f"{rows}.parquet")
        if not self._parts(checkpoint, rows).is_dir():
            return
        files = self._files(checkpoint, rows)
        self._rewrite(checkpoint, rows, merged(files, rows, names_of(files, rows)))

    def update_rows(
        self, checkpoint: str, rows: Rows, change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        """Apply `change` to every row and save, when anything differs."""
        table = self.read_rows(checkpoint, rows)
        old = table.to_dicts()
        new = [change(row) for row in old]
        if new == old:
            return
        self._rewrite(checkpoint, rows, [pl.DataFrame(new, schema=SCHEMAS[rows]).sort(IDENTITY[rows])])

    def drop_rows(self, checkpoint: str, rows: Rows, row_key: str) -> None:
        """Remove the rows of a checkpoint that were made with these settings, as if never measured."""
        files = self._files(checkpoint, rows)
        names = names_of(files, rows).filter(pl.col("row_key") != row_key)
        self._rewrite(checkpoint, rows, merged(files, rows, names))

    def write_texts(self, table: pl.DataFrame) -> None:
        """Save the problems' texts; those of sets that are not in `table` are kept."""
        if self.has_texts():
            old = self.read_texts()
            table = pl.concat([old.filter(~pl.col("set").is_in(table["set"].unique().to_list())), table])
        write_table([table], self.root / TEXTS, TEXT_SCHEMA, "overmem.texts/1")

    def has_texts(self) -> bool:
        """Whether the problems' texts were saved."""
        return (self.root / TEXTS).is_file()

    def read_texts(self) -> pl.DataFrame:
        """The problems as the models saw them: set, example_id, prompt, completion, answer.

        Raises:
            ArtifactError: the file is missing or damaged.
        """
        if not self.has_texts():
            raise ArtifactError(f"no {TEXTS} in {self.root}", next_step="run `overmem audit` again")
        table = read_table(self.root / TEXTS, "overmem.texts/1", TEXT_SCHEMA)
        check_rows(table, self.root / TEXTS)
        twice = table.filter(pl.struct("set", "example_id").is_duplicated())
        if len(twice):
            raise ArtifactError(
                f"{self.root / TEXTS} has a problem twice",
                got=" of ".join(twice.select("example_id", "set").row(0)),
                next_step="move it away and run `overmem audit` again; it writes the texts anew",
            )
        return table

    def copy_missing_rows(self, other: Store, checkpoint: str) -> None:
        """Take over another store's rows of a checkpoint that this one lacks.

        Rows carry the settings that made them, so those of other settings do no harm.
        """
        for rows in SCHEMAS:
            mine, theirs = (store._files(checkpoint, rows) for store in (self, other))
            names = names_of([*mine, *theirs], rows)
            if (names["file"] >= len(mine)).any():
                self._rewrite(checkpoint, rows, merged([*mine, *theirs], rows, names))

    @property
    def base_predictions(self) -> Path:
        """Where the base model's predictions are kept while an audit compares checkpoints with them."""
        return self.root / BASE_PREDICTIONS

    def remove_base_predictions(self) -> None:
        """Remove them: they can be had again, and are large."""
        shutil.rmtree(self.base_predictions, ignore_errors=True)

    def _rewrite(self, checkpoint: str, rows: Rows, parts: Iterable[pl.DataFrame]) -> None:
        """Save a checkpoint's rows as its one file in place of all that was there."""
        write_rows_file(parts, self.root / checkpoint / f"{rows}.parquet", rows)
        shutil.rmtree(self._parts(checkpoint, rows), ignore_errors=True)

    def _parts(self, checkpoint: str, rows: Rows) -> Path:
        return self.root / checkpoint / f"{rows}.parts"

    def _files(self, checkpoint: str, rows: Rows) -> list[Path]:
        whole = self.root / checkpoint / f"{rows}.parquet"
        parts = sorted(self._parts(checkpoint, rows).glob("*.parquet"))
        return ([whole] if whole.is_file() else []) + parts


def _read_files(
    files: list[Path],
    rows: Rows,
    row_key: str | None,
    columns: list[str],
    ids: Sequence[str] | None = None,
) -> pl.DataFrame:
    frames = [read_rows_file(path, rows, columns, ids) for path in files]
    for path, frame in zip(files, frames, strict=True):
        if frame.select(IDENTITY[rows]).is_duplicated().any():
            raise ArtifactError(f"{path} has a row twice", next_step=AGAIN)
    table = pl.concat(frames) if frames else pl.DataFrame(schema={c: SCHEMAS[rows][c] for c in columns})
    if row_key is not None:
        table = table.filter(pl.col("row_key") == row_key)
    return table.unique(subset=IDENTITY[rows], keep="first", maintain_order=True)
