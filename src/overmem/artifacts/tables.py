"""The tables of artifacts: their columns, and files of them whose rows are checked when they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl

from overmem.artifacts.parquet import AGAIN, read_table, schema_name, spans_of, write_table
from overmem.artifacts.token_sums import AT_TEMPERATURE, MADE_OF, SUMS, with_sums
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
_OR_UNKNOWN = {"entropy", "mu", "sigma", "last_logprob", "min_k", "min_k_plus_plus", "mean_logprob"}
"""Columns of numbers that are NaN where they are not known: no token to score, or a server that says less."""

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
    wanted, kinds = _form_of(path, rows)
    asked = [name for name in columns if name not in kinds]
    lists = [part for name in asked for part in MADE_OF[name]]
    stored = dict.fromkeys([*(name for name in columns if name not in asked), *lists])
    span = None if ids is None else _span(path, wanted, ids)
    table = read_table(path, wanted, {name: kinds[name] for name in stored}, span)
    check_rows(table, path)
    if ids is not None:
        table = table.filter(pl.col("example_id").is_in(list(ids)))
    return (with_sums(table) if asked else table).select(columns)


def check_rows_file(path: Path, rows: Rows) -> None:
    """Read all of a file once, a group of rows at a time, and keep nothing: is it whole?

    Raises:
        ArtifactError: the file is damaged, or of another schema.
    """
    wanted, kinds = _form_of(path, rows)
    for span in spans_of(path) or [(0, 0)]:
        check_rows(read_table(path, wanted, kinds, span), path)


def _form_of(path: Path, rows: Rows) -> tuple[str, dict[str, Any]]:
    """The schema that a file of a table should name, and the columns that it then has."""
    if rows == "likelihood" and schema_name(path) == _WITHOUT_SUMS:
        return _WITHOUT_SUMS, {name: kind for name, kind in _SCORED.items() if name not in SUMS}
    return _FORMAT[rows], SCHEMAS[rows]


def _span(path: Path, wanted: str, ids: Sequence[str]) -> tuple[int, int]:
    """The first of a file's rows that is of these examples, and how many lie from it to the last."""
    of_these = read_table(path, wanted, {"example_id": pl.String})["example_id"].is_in(list(ids)).arg_true()
    return (int(of_these[0]), int(of_these[-1]) - int(of_these[0]) + 1) if len(of_these) else (0, 0)


def table_of(batch: Sequence[Mapping[str, Any]], rows: Rows) -> pl.DataFrame:
    """Rows as they are saved; what a verdict needs of their tokens is summed here."""
    if rows != "likelihood":
        return pl.DataFrame(batch, schema=SCHEMAS[rows])
    return with_sums(pl.DataFrame(batch, schema=_SCORED)).select(list(SCHEMAS[rows]))


def check_rows(table: pl.DataFrame, path: Path) -> None:
    """Refuse rows without a name or a figure, and lists of a row that are not of its tokens."""
    empty = [name for name in table.columns if name in _NEVER_EMPTY and table[name].null_count()]
    if empty:
        raise ArtifactError(f"{path}: the column `{empty[0]}` has empty fields", next_step=AGAIN)
    nulls = {name: table[name].null_count() for name in (*TOKENS, AT_TEMPERATURE) if name in table.columns}
    together = {nulls[name] for name in _TOGETHER if name in nulls}
    if len(together) > 1 or any(n not in (0, len(table)) for n in nulls.values()):
        raise ArtifactError(f"{path}: some rows lack lists of their tokens", got=nulls, next_step=AGAIN)
    for name, n_wrong in _counts(table, _wrong_values(table.schema)).items():
        if n_wrong:
            raise ArtifactError(
                f"{path}: `{name}` has values that no model or grader gives",
                got=f"{n_wrong} of them empty, infinite or not a number",
                expected="numbers from 0 to 1" if name == "correct" else "finite numbers",
                next_step=AGAIN,
            )
    if "n_tokens" not in table.columns:
        return
    for name, n_other in _counts(table, [_other_lengths(name) for name in nulls]).items():
        if n_other:
            lengths = table[name].list.len()
            raise ArtifactError(
                f"{path}: a list in `{name}` is not of the row's tokens",
                got=f"{lengths.min()!r} to {lengths.max()!r} values",
                expected="one a token, as `n_tokens` says",
                next_step=AGAIN,
            )


def _counts(table: pl.DataFrame, asked: Iterable[pl.Expr]) -> dict[str, int]:
    """What each expression counts, by its name."""
    counted = table.select(*asked)
    return counted.row(0, named=True) if counted.width else {}


def _other_lengths(name: str) -> pl.Expr:
    """How many lists of a column are not of their row's tokens."""
    return (pl.col(name).list.len() != pl.col("n_tokens")).sum().alias(name)


def _wrong_values(schema: Mapping[str, Any]) -> Iterator[pl.Expr]:
    """By column how many of its values are infinite, NaN where that means nothing, or missing in a list."""
    for name, kind in schema.items():
        if not (kind.is_nested() or kind.is_float()):
            continue
        values, wrong = pl.col(name), pl.lit(0)
        while isinstance(kind, pl.List):
            n_there = values.explode().count().cast(pl.Int64)
            wrong = wrong + values.list.len().cast(pl.Int64).sum() - n_there
            values, kind = values.explode(), kind.inner
        if kind.is_float():
            is_known = ~values.is_infinite() if name in _OR_UNKNOWN else values.is_finite()
            in_range = values.is_between(0, 1) if name == "correct" else is_known
            wrong = wrong + (~in_range).sum()
        yield wrong.alias(name)


def write_rows_file(parts: Iterable[pl.DataFrame], path: Path, rows: Rows) -> None:
    """Write rows of a checkpoint, a part after another, as one file, whole or not at all."""
    write_table(parts, path, SCHEMAS[rows], _FORMAT[rows])
