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

import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import polars as pl

from overmem.artifacts.temporary import LOCK_NAME, clear_leftovers, temporary_beside
from overmem.boundary import library_call, reason, writing
from overmem.errors import ArtifactError, OvermemError
from overmem.parsing import ParseError, read_json, read_json_or_empty

Rows = Literal["likelihood", "generations", "continuations", "divergences"]

BASE_PREDICTIONS = ".base_predictions"
"""Folder of what the base model predicts, large and there only while an audit compares with it."""
MANIFEST_SCHEMA = "overmem.manifest/1"
IDENTITY: dict[Rows, tuple[str, ...]] = {
    "likelihood": ("row_key", "split", "example_id", "example_sha"),
    "generations": ("row_key", "split", "example_id", "example_sha", "variant", "sample"),
    "continuations": ("row_key", "split", "example_id", "example_sha"),
    "divergences": ("row_key", "split", "example_id", "example_sha"),
}
"""Columns that name a row; what is already there under the same name is never computed again."""
SCHEMAS: dict[Rows, dict[str, Any]] = {
    "likelihood": {
        "row_key": pl.String,
        "split": pl.String,
        "example_id": pl.String,
        "example_sha": pl.String,
        "n_tokens": pl.Int64,
        "nll_nats": pl.Float64,
        "logprob": pl.List(pl.Float32),
        "entropy": pl.List(pl.Float32),
        "is_top1": pl.List(pl.Boolean),
        "top1_logprob": pl.List(pl.Float32),
        "mu": pl.List(pl.Float32),
        "sigma": pl.List(pl.Float32),
        "logprob_at_temperature": pl.List(pl.List(pl.Float32)),
    },
    "generations": {
        "row_key": pl.String,
        "split": pl.String,
        "example_id": pl.String,
        "example_sha": pl.String,
        "variant": pl.String,
        "sample": pl.Int64,
        "temperature": pl.Float64,
        "text": pl.String,
        "answer": pl.String,
        "correct": pl.Float64,
        "grader": pl.String,
        "n_tokens": pl.Int64,
        "finished": pl.Boolean,
        "mean_logprob": pl.Float64,
    },
    "continuations": {
        "row_key": pl.String,
        "split": pl.String,
        "example_id": pl.String,
        "example_sha": pl.String,
        "n_prefix": pl.Int64,
        "n_compared": pl.Int64,
        "n_same": pl.Int64,
        "exact": pl.Boolean,
    },
    "divergences": {
        "row_key": pl.String,
        "split": pl.String,
        "example_id": pl.String,
        "example_sha": pl.String,
        "n_tokens": pl.Int64,
        "nll_nats": pl.Float64,
        "base_nll_nats": pl.Float64,
        "n_compared": pl.Int64,
        "kl_nats": pl.Float64,
    },
}


_NEVER_EMPTY = {*IDENTITY["generations"], "n_tokens", "nll_nats", "set", "prompt"}
_A_TOKEN = ("logprob", "entropy", "is_top1", "top1_logprob", "mu", "sigma", "logprob_at_temperature")
"""Lists with a value for each of a row's `n_tokens`, where they are there."""
_AGAIN = "move it away; the audit computes its rows again"

TEXTS = "texts.parquet"
TEXT_SCHEMA = {name: pl.String for name in ("set", "example_id", "prompt", "completion", "answer")}


def settings_key(settings: Mapping[str, Any]) -> str:
    """A short name for everything that decides a row's figures; equal settings, equal key."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_text_atomic(path: Path, text: str) -> None:
    """Write a whole text file or nothing; what UTF-8 has no form for, such as a name on disk, is escaped."""
    with _whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """A temporary file that becomes `path` when the block ends well, and vanishes when it does not.

    Raises:
        StorageError: the disk is full.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(path)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def locked_folder(folder: Path, taken: OvermemError) -> Iterator[None]:
    """Keep other processes out of a folder, which is made where it is missing.

    The lock ends with the process, killed or not. Its file is removed while the lock is still held: filelock
    gives nobody a lock on a file that is gone.

    Args:
        folder: where the lock's file stands for as long as it is held.
        taken: raised at once where another process has the lock.
    """
    from filelock import FileLock, Timeout  # reading artifacts needs no lock, and starts faster without

    with writing(folder / LOCK_NAME):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise taken from None
    except (OSError, NotImplementedError):
        pass  # a file system without locks
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes it only after the release, which filelock does
            (folder / LOCK_NAME).unlink()
        lock.release()


class Store:
    """The artifacts of one run."""

    def __init__(self, root: Path) -> None:
        """Open (without creating) the artifact folder `root`, normally `RUN/overmem`."""
        self.root = root

    @classmethod
    def of_run(cls, run_path: Path, out: Path | None = None) -> Store:
        """The store of a run folder, of `out`, or of `run_path` itself when that is an artifact folder."""
        if out is not None:
            return cls(out)
        manifest = run_path / "manifest.json"
        # Other tools name a file so, too; a damaged one is taken for ours, and reading it says what is wrong.
        found = read_json_or_empty(manifest)
        is_store = manifest.is_file() and (not found or str(found.get("schema")).startswith("overmem."))
        return cls(run_path if is_store else run_path / "overmem")

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

    def write_record(self, name: str, record: Mapping[str, Any]) -> Path:
        """Write a JSON record that carries its own `schema`."""
        path = self.root / f"{name}.json"
        write_text_atomic(path, json.dumps(record, indent=1, allow_nan=False) + "\n")
        return path

    def read_record(self, name: str, schema: str) -> dict[str, Any]:
        """Read a JSON record and check its schema.

        Raises:
            ArtifactError: the file is missing, is not JSON, or has another schema.
        """
        path = self.root / f"{name}.json"
        try:
            record = read_json(path)
        except FileNotFoundError:
            raise ArtifactError(
                f"no {name}.json in {self.root}", next_step="run `overmem audit` on the run first"
            ) from None
        except (ParseError, OSError) as error:
            raise ArtifactError(
                f"{path} cannot be read",
                got=reason(error),
                expected="the JSON that overmem wrote",
                next_step="move it away and run the stage again",
            ) from None
        if not isinstance(record, dict) or record.get("schema") != schema:
            got = record.get("schema") if isinstance(record, dict) else type(record).__name__
            raise ArtifactError(
                f"{path} has another schema",
                got=got,
                expected=schema,
                next_step="run the stage again with this version of overmem",
            )
        return record

    def remove_record(self, name: str) -> None:
        """Remove a record that no longer describes what was measured."""
        (self.root / f"{name}.json").unlink(missing_ok=True)

    def has_record(self, name: str) -> bool:
        """Whether `name.json` exists."""
        return (self.root / f"{name}.json").is_file()

    def read_rows(
        self,
        checkpoint: str,
        rows: Rows,
        row_key: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """All rows of a checkpoint, unfinished batches included.

        Args:
            checkpoint: its name.
            rows: which table.
            row_key: keep only rows made with these settings.
            columns: read only these beside the identity; the per-token lists are large.

        Raises:
            ArtifactError: a file is damaged.
        """
        wanted = list(SCHEMAS[rows]) if columns is None else [*IDENTITY[rows], *columns]
        frames = [_read_parquet(path, rows, wanted) for path in self._files(checkpoint, rows)]
        table = pl.concat(frames) if frames else pl.DataFrame(schema={c: SCHEMAS[rows][c] for c in wanted})
        if row_key is not None:
            table = table.filter(pl.col("row_key") == row_key)
        return table.unique(subset=IDENTITY[rows], keep="first", maintain_order=True)

    def append_rows(self, checkpoint: str, rows: Rows, batch: Sequence[Mapping[str, Any]]) -> None:
        """Save one batch at once, so that a kill loses at most the batch in flight."""
        parts = self._parts(checkpoint, rows)
        # Unique among processes, and sorted by time within one.
        name = f"{time.time_ns()}-{os.getpid()}.parquet"
        _write_parquet(pl.DataFrame(batch, schema=SCHEMAS[rows]), parts / name, rows)

    def unfinished(self, checkpoint: str, rows: Rows, name: str) -> Path:
        """The file of answers that are being written, beside the parts, with which it is removed."""
        return self._parts(checkpoint, rows) / f"{name}.unfinished"

    def compact_parts(self, checkpoint: str, rows: Rows) -> None:
        """Merge finished batches into the checkpoint's one Parquet file, sorted by identity."""
        clear_leftovers(self.root / checkpoint / f"{rows}.parquet")
        parts = self._parts(checkpoint, rows)
        if not parts.is_dir():
            return
        self._rewrite(checkpoint, rows, self.read_rows(checkpoint, rows))

    def update_rows(
        self, checkpoint: str, rows: Rows, change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        """Apply `change` to every row and save, when anything differs."""
        table = self.read_rows(checkpoint, rows)
        old = table.to_dicts()
        new = [change(row) for row in old]
        if new == old:
            return
        self._rewrite(checkpoint, rows, pl.DataFrame(new, schema=SCHEMAS[rows]))

    def drop_rows(self, checkpoint: str, rows: Rows, row_key: str) -> None:
        """Remove the rows of a checkpoint that were made with these settings, as if never measured."""
        table = self.read_rows(checkpoint, rows)
        self._rewrite(checkpoint, rows, table.filter(pl.col("row_key") != row_key))

    def write_texts(self, table: pl.DataFrame) -> None:
        """Save the problems' texts; those of sets that are not in `table` are kept."""
        if self.has_texts():
            old = self.read_texts()
            table = pl.concat([old.filter(~pl.col("set").is_in(table["set"].unique().to_list())), table])
        _write_table(table.select(list(TEXT_SCHEMA)), self.root / TEXTS, "overmem.texts/1")

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
        table = _read_table(self.root / TEXTS, "overmem.texts/1", TEXT_SCHEMA)
        _check_rows(table, self.root / TEXTS)
        return table

    def copy_missing_rows(self, other: Store, checkpoint: str) -> None:
        """Take over another store's rows of a checkpoint that this one lacks.

        Rows carry the settings that made them, so those of other settings do no harm.
        """
        for rows in SCHEMAS:
            mine, theirs = (store.read_rows(checkpoint, rows) for store in (self, other))
            both = pl.concat([mine, theirs]).unique(subset=IDENTITY[rows], keep="first", maintain_order=True)
            if len(both) > len(mine):
                self._rewrite(checkpoint, rows, both)

    @property
    def base_predictions(self) -> Path:
        """Where the base model's predictions are kept while an audit compares checkpoints with them."""
        return self.root / BASE_PREDICTIONS

    def remove_base_predictions(self) -> None:
        """Remove them: they can be had again, and are large."""
        shutil.rmtree(self.base_predictions, ignore_errors=True)

    def _rewrite(self, checkpoint: str, rows: Rows, table: pl.DataFrame) -> None:
        """Save a checkpoint's rows as its one file, sorted by identity, in place of all that was there."""
        _write_parquet(table.sort(IDENTITY[rows]), self.root / checkpoint / f"{rows}.parquet", rows)
        shutil.rmtree(self._parts(checkpoint, rows), ignore_errors=True)

    def _parts(self, checkpoint: str, rows: Rows) -> Path:
        return self.root / checkpoint / f"{rows}.parts"

    def _files(self, checkpoint: str, rows: Rows) -> list[Path]:
        whole = self.root / checkpoint / f"{rows}.parquet"
        parts = sorted(self._parts(checkpoint, rows).glob("*.parquet"))
        return ([whole] if whole.is_file() else []) + parts


def _read_parquet(path: Path, rows: Rows, columns: list[str]) -> pl.DataFrame:
    table = _read_table(path, f"overmem.{rows}/1", {name: SCHEMAS[rows][name] for name in columns})
    _check_rows(table, path)
    return table


def _read_table(path: Path, wanted: str, columns: Mapping[str, Any]) -> pl.DataFrame:
    """The columns of a file, each of its type.

    Polars is given the open file: in a name it would take brackets, `*`, `?` and `~` for a pattern.
    """
    with library_call(f"{path} cannot be read", ArtifactError, next_step=_AGAIN), path.open("rb") as file:
        got = pl.read_parquet_metadata(file).get("schema")
        file.seek(0)
        table = pl.read_parquet(file, columns=list(columns)) if got == wanted else None
    if table is None:
        raise ArtifactError(f"{path} has another schema", got=got, expected=wanted, next_step=_AGAIN)
    for name, kind in columns.items():
        if table.schema[name] != kind:
            raise ArtifactError(
                f"{path}: the column `{name}` is of another type",
                got=table.schema[name],
                expected=kind() if isinstance(kind, type) else kind,
                next_step=_AGAIN,
            )
    return table


def _check_rows(table: pl.DataFrame, path: Path) -> None:
    """Refuse rows without a name or a figure, and lists of a row that are not of its tokens."""
    empty = [name for name in table.columns if name in _NEVER_EMPTY and table[name].null_count()]
    if empty:
        raise ArtifactError(f"{path}: the column `{empty[0]}` has empty fields", next_step=_AGAIN)
    if "n_tokens" not in table.columns:
        return
    for name in set(_A_TOKEN) & set(table.columns):
        given = table.filter(pl.col(name).is_not_null())
        lengths = given[name].list.len()
        if (lengths != given["n_tokens"]).any():
            raise ArtifactError(
                f"{path}: a list in `{name}` is not of the row's tokens",
                got=f"{lengths.min()!r} to {lengths.max()!r} values",
                expected="one a token, as `n_tokens` says",
                next_step=_AGAIN,
            )


def _write_parquet(table: pl.DataFrame, path: Path, rows: Rows) -> None:
    _write_table(table, path, f"overmem.{rows}/1")


def _write_table(table: pl.DataFrame, path: Path, schema: str) -> None:
    # By way of memory: where the disk is full, polars hides that in errors of several kinds.
    content = io.BytesIO()
    table.write_parquet(content, metadata={"schema": schema})
    with _whole_file(path) as temporary:
        temporary.write_bytes(content.getbuffer())
