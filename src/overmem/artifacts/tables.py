"""The tables of artifacts: their columns, and Parquet files of them that are checked when they are read."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl

from overmem.artifacts.files import whole_file
from overmem.boundary import library_call
from overmem.errors import ArtifactError

Rows = Literal["likelihood", "generations", "continuations", "divergences"]


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

_NEVER_EMPTY = {
    *IDENTITY["generations"],
    *("n_tokens", "nll_nats", "text", "finished", "n_same", "n_compared", "exact", "set", "prompt"),
}
_A_TOKEN = ("logprob", "entropy", "is_top1", "top1_logprob", "mu", "sigma", "logprob_at_temperature")
"""Lists with a value for each of a row's `n_tokens`, where they are there."""
_TOGETHER = ("logprob", "is_top1", "top1_logprob")
"""Of them those that are always there together."""
_AGAIN = "move it away; the audit computes its rows again"

TEXTS = "texts.parquet"
TEXT_SCHEMA = {name: pl.String for name in ("set", "example_id", "prompt", "completion", "answer")}


def read_rows_file(path: Path, rows: Rows, columns: list[str]) -> pl.DataFrame:
    """Rows of a checkpoint from one file, checked.

    Raises:
        ArtifactError: the file is damaged, or of another schema.
    """
    table = read_table(path, f"overmem.{rows}/1", {name: SCHEMAS[rows][name] for name in columns})
    check_rows(table, path)
    return table


def read_table(path: Path, wanted: str, columns: Mapping[str, Any]) -> pl.DataFrame:
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


def check_rows(table: pl.DataFrame, path: Path) -> None:
    """Refuse rows without a name or a figure, and lists of a row that are not of its tokens."""
    empty = [name for name in table.columns if name in _NEVER_EMPTY and table[name].null_count()]
    if empty:
        raise ArtifactError(f"{path}: the column `{empty[0]}` has empty fields", next_step=_AGAIN)
    nulls = {name: table[name].null_count() for name in _A_TOKEN if name in table.columns}
    together = {nulls[name] for name in _TOGETHER if name in nulls}
    if len(together) > 1 or any(n not in (0, len(table)) for n in nulls.values()):
        raise ArtifactError(f"{path}: some rows lack lists of their tokens", got=nulls, next_step=_AGAIN)
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


def write_rows_file(table: pl.DataFrame, path: Path, rows: Rows) -> None:
    """Write rows of a checkpoint as one file, whole or not at all."""
    write_table(table, path, f"overmem.{rows}/1")


def write_table(table: pl.DataFrame, path: Path, schema: str) -> None:
    """Write a table as a Parquet file that names its schema, whole or not at all."""
    # By way of memory: where the disk is full, polars hides that in errors of several kinds.
    content = io.BytesIO()
    table.write_parquet(content, metadata={"schema": schema})
    with whole_file(path) as temporary:
        temporary.write_bytes(content.getbuffer())
