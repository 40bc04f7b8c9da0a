"""Verbatim: training solutions whose second half the last checkpoint writes word for word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from overmem.reporting.downloads import Cell, Table

Rows = Mapping[str, pl.DataFrame]


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many references one checkpoint continues verbatim."""

    name: str
    train: int
    n_train: int
    """Training problems with a second half."""
    val: int | None
    n_val: int


@dataclass(frozen=True, kw_only=True)
class Verbatim:
    """What became verbatim between two checkpoints, or why that is not known."""

    before: str = ""
    after: str = ""
    counts: tuple[Count, ...] = ()
    became: int = 0
    """Training problems verbatim at the later checkpoint and not at the earlier."""
    ceased: int = 0
    """The other way round."""
    rows: tuple[tuple[Cell, ...], ...] = ()
    reason: str | None = None


def verbatim_exhibit(
    train: Rows,
    val: Rows,
    pair: tuple[str | None, str],
    command: str,
) -> Verbatim:
    """Count verbatim continuations, and those that are new at the last checkpoint.

    Args:
        train: continuation rows on train of each checkpoint, aligned.
        val: the same on val, the baseline.
        pair: the checkpoint that one would ship (None when that is the last), and the last.
        command: what would measure them where there are none.
    """
    before, after = pair
    if not train:
        return Verbatim(reason=f"no continuations were written; {command}")
    table = _together(train)
    counts = tuple(_count(name, rows, val.get(name)) for name, rows in train.items())
    rows = tuple(
        (
            name,
            row["example_id"],
            row["n_prefix"],
            row["n_compared"],
            row[f"same {name}"],
            row[f"exact {name}"],
        )
        for name in train
        for row in table.iter_rows(named=True)
    )
    if before is None or before not in train or after not in train:
        return Verbatim(after=after, counts=counts, rows=rows)
    became = table.filter(pl.col(f"exact {after}") & ~pl.col(f"exact {before}"))
    ceased = table.filter(~pl.col(f"exact {after}") & pl.col(f"exact {before}"))
    return Verbatim(
        before=before,
        after=after,
        counts=counts,
        became=len(became),
        ceased=len(ceased),
        rows=rows,
    )


def verbatim_table(found: Verbatim) -> Table:
    """One row a training problem and checkpoint."""
    columns = ("checkpoint", "example_id", "tokens_given", "tokens_compared", "tokens_same", "verbatim")
    return Table(columns=columns, rows=found.rows)


def _together(train: Rows) -> pl.DataFrame:
    """One row a problem that has a second half, with each checkpoint's columns under its name."""
    columns = [
        name_column
        for name, rows in train.items()
        for name_column in (rows["n_same"].alias(f"same {name}"), rows["exact"].alias(f"exact {name}"))
    ]
    first = next(iter(train.values())).select("example_id", "n_prefix", "n_compared")
    return first.with_columns(columns).filter(pl.col("n_compared") > 0)


def _count(name: str, train: pl.DataFrame, val: pl.DataFrame | None) -> Count:
    compared = train.filter(pl.col("n_compared") > 0)
    others = None if val is None else val.filter(pl.col("n_compared") > 0)
    return Count(
        name=name,
        train=int(compared["exact"].sum()),
        n_train=len(compared),
        val=None if others is None else int(others["exact"].sum()),
        n_val=0 if others is None else len(others),
    )
