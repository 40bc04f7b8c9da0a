"""Verbatim: training solutions whose second half the last checkpoint writes word for word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from overmem.reporting.downloads import Cell, Table
from overmem.reporting.exhibits.split import completion_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

EXAMPLES = 5
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
class Continuation:
    """A training solution that became known by heart."""

    example_id: str
    prompt: str
    given: str
    """What the model was given of the solution; all of it where it cannot be split into tokens."""
    written: str
    """What it then wrote, word for word as in the solution."""
    rest: str
    """What was not compared."""
    n_compared: int
    same: Mapping[str, int]
    """Tokens equal to the solution's, of each checkpoint."""


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
    examples: tuple[Continuation, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    unsplit: bool = False
    """Whether some solution could not be split into tokens."""
    reason: str | None = None


def verbatim_exhibit(
    train: Rows,
    val: Rows,
    texts: pl.DataFrame | None,
    tokenizer: Tokenizer | None,
    pair: tuple[str | None, str],
    command: str,
) -> Verbatim:
    """Count verbatim continuations and show some that are new at the last checkpoint.

    Args:
        train: continuation rows on train of each checkpoint, aligned.
        val: the same on val, the baseline.
        texts: example_id, prompt and completion of train.
        tokenizer: of the run; without it the halves are not marked.
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
    order = became.sort([f"same {before}", "n_compared", "example_id"], descending=[False, True, False])
    written = {} if texts is None else {row["example_id"]: row for row in texts.iter_rows(named=True)}
    shown = [row for row in order.iter_rows(named=True) if row["example_id"] in written][:EXAMPLES]
    examples = tuple(_continuation(row, written[row["example_id"]], tokenizer, list(train)) for row in shown)
    return Verbatim(
        before=before,
        after=after,
        counts=counts,
        became=len(became),
        ceased=len(ceased),
        examples=examples,
        rows=rows,
        unsplit=any(not example.written for example in examples),
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


def _continuation(
    row: Mapping[str, int], text: Mapping[str, str], tokenizer: Tokenizer | None, names: list[str]
) -> Continuation:
    given, written, rest = _halves(row, text, tokenizer)
    return Continuation(
        example_id=text["example_id"],
        prompt=text["prompt"],
        given=given,
        written=written,
        rest=rest,
        n_compared=row["n_compared"],
        same={name: row[f"same {name}"] for name in names},
    )


def _halves(
    row: Mapping[str, int], text: Mapping[str, str], tokenizer: Tokenizer | None
) -> tuple[str, str, str]:
    """The solution as given, written and not compared; unsplit where the tokens do not add up."""
    prefix, compared = row["n_prefix"], row["n_compared"]
    for n_tokens in (2 * prefix, 2 * prefix + 1):  # half of them were given, rounded down
        if tokenizer is None:
            break
        texts = completion_tokens(tokenizer, text["prompt"], text["completion"], n_tokens)
        if texts is not None and compared <= n_tokens - prefix:
            cut = prefix + compared
            return "".join(texts[:prefix]), "".join(texts[prefix:cut]), "".join(texts[cut:])
    return text["completion"], "", ""
