"""The tables of artifacts: their columns, and Parquet files of them that are checked when they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl

from overmem.artifacts.files import whole_file
from overmem.artifacts.token_sums import AT_TEMPERATURE, MADE_OF, SUMS, with_sums
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
        **SUMS,
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

GROUP_BYTES = 8 << 20
"""Of a group of rows in a file, in memory."""
_NEVER_EMPTY = {
    *IDENTITY["generations"],
    *("n_tokens", "nll_nats", "text", "finished", "n_same", "n_compared", "exact", "set", "prompt"),
}
TOKENS = ("logprob", "entropy", "is_top1", "top1_logprob", "mu", "sigma")
"""Columns of lists with a value for each of a row's `n_tokens`, where they are there; the longest by far."""
WITHOUT_TOKENS: dict[Rows, tuple[str, ...]] = {
    rows: tuple(name for name in columns if name not in (*IDENTITY[rows], *TOKENS))
    for rows, columns in SCHEMAS.items()
}
"""The other columns beside the identity."""
_SCORED = SCHEMAS["likelihood"] | {AT_TEMPERATURE: pl.List(pl.List(pl.Float32))}
_FORMAT: dict[Rows, str] = {rows: f"overmem.{rows}/{2 if rows == 'likelihood' else 1}" for rows in SCHEMAS}
_WITHOUT_SUMS = "overmem.likelihood/1"
"""What was written before: lists alone, those of every temperature among them."""
_TOGETHER = ("logprob", "is_top1", "top1_logprob")
"""Of the lists those that are always there together."""
_AGAIN = "move it away; the audit computes its rows again"

TEXTS = "texts.parquet"
TEXT_SCHEMA = {name: pl.String for name in ("set", "example_id", "prompt", "completion", "answer")}


def read_rows_file(
    path: Path, rows: Rows, columns: Sequence[str], ids: Sequence[str] | None = None
) -> pl.DataFrame:
    """Rows of a checkpoint from one file, checked.

    Args:
        path: of the file.
        rows: which table.
        columns: read only these.
        ids: only rows of these examples; what lies before and after them in the file is not read.

    Raises:
        ArtifactError: the file is damaged, or of another schema.
    """
    is_old = rows == "likelihood" and _format_of(path) == _WITHOUT_SUMS
    wanted = _WITHOUT_SUMS if is_old else _FORMAT[rows]
    asked = [name for name in columns if is_old and name in SUMS]
    lists = [part for name in asked for part in MADE_OF[name]]
    stored = dict.fromkeys([*(name for name in columns if name not in asked), *lists])
    kinds = _SCORED if is_old else SCHEMAS[rows]
    span = None if ids is None else _span(path, wanted, ids)
    table = read_table(path, wanted, {name: kinds[name] for name in stored}, span)
    check_rows(table, path)
    if ids is not None:
        table = table.filter(pl.col("example_id").is_in(list(ids)))
    return (with_sums(table) if asked else table).select(columns)


def _span(path: Path, wanted: str, ids: Sequence[str]) -> tuple[int, int]:
    """The first of a file's rows that is of these examples, and how many lie from it to the last."""
    of_these = read_table(path, wanted, {"example_id": pl.String})["example_id"].is_in(list(ids)).arg_true()
    return (int(of_these[0]), int(of_these[-1]) - int(of_these[0]) + 1) if len(of_these) else (0, 0)


def table_of(batch: Sequence[Mapping[str, Any]], rows: Rows) -> pl.DataFrame:
    """Rows as they are saved; what a verdict needs of their tokens is summed here."""
    if rows != "likelihood":
        return pl.DataFrame(batch, schema=SCHEMAS[rows])
    return with_sums(pl.DataFrame(batch, schema=_SCORED)).select(list(SCHEMAS[rows]))


def _format_of(path: Path) -> str | None:
    with library_call(f"{path} cannot be read", ArtifactError, next_step=_AGAIN), path.open("rb") as file:
        return pl.read_parquet_metadata(file).get("schema")


def read_table(
    path: Path, wanted: str, columns: Mapping[str, Any], span: tuple[int, int] | None = None
) -> pl.DataFrame:
    """The columns of a file, each of its type; of a span (first row, how many) that part alone.

    Polars is given the open file: in a name it would take brackets, `*`, `?` and `~` for a pattern.
    """
    with library_call(f"{path} cannot be read", ArtifactError, next_step=_AGAIN), path.open("rb") as file:
        got = pl.read_parquet_metadata(file).get("schema")
        file.seek(0)
        if got != wanted:
            table = None
        elif span is None:
            table = pl.read_parquet(file, columns=list(columns))
        else:
            table = pl.scan_parquet(file).select(list(columns)).slice(*span).collect()
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
    nulls = {name: table[name].null_count() for name in (*TOKENS, AT_TEMPERATURE) if name in table.columns}
    together = {nulls[name] for name in _TOGETHER if name in nulls}
    if len(together) > 1 or any(n not in (0, len(table)) for n in nulls.values()):
        raise ArtifactError(f"{path}: some rows lack lists of their tokens", got=nulls, next_step=_AGAIN)
    if "n_tokens" not in table.columns:
        return
    for name in nulls:
        given = table.filter(pl.col(name).is_not_null())
        lengths = given[name].list.len()
        if (lengths != given["n_tokens"]).any():
            raise ArtifactError(
                f"{path}: a list in `{name}` is not of the row's tokens",
                got=f"{lengths.min()!r} to {lengths.max()!r} values",
                expected="one a token, as `n_tokens` says",
                next_step=_AGAIN,
            )


def write_rows_file(parts: Iterable[pl.DataFrame], path: Path, rows: Rows) -> None:
    """Write rows of a checkpoint, a part after another, as one file, whole or not at all."""
    write_table(parts, path, SCHEMAS[rows], _FORMAT[rows])


def write_table(parts: Iterable[pl.DataFrame], path: Path, columns: Mapping[str, Any], schema: str) -> None:
    """Write a table as a Parquet file that names its schema, whole or not at all.

    Each part is let go when it is written, and lies in the file in groups of rows that are read apart.

    Args:
        parts: one after another.
        path: of the file.
        columns: their names and types.
        schema: its name.
    """
    import pyarrow.parquet  # a verdict reads only, and starts faster without

    empty = _to_arrow(pl.DataFrame(schema=columns))
    with (
        whole_file(path) as temporary,
        temporary.open("wb") as file,
        pyarrow.parquet.ParquetWriter(
            file,
            empty.schema.with_metadata({"schema": schema}),
            compression="zstd",
            use_dictionary=False,
        ) as writer,
    ):
        for part in parts:
            rows = max(1, len(part) * GROUP_BYTES // max(1, int(part.estimated_size())))
            writer.write_table(_to_arrow(part.select(list(columns))), row_group_size=rows)


def _to_arrow(table: pl.DataFrame) -> Any:
    return table.to_arrow(compat_level=pl.CompatLevel.oldest())
