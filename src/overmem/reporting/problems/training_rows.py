"""Every training row that was measured: how far it is memorized, what is written word for word."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from overmem.memorized.ranking import MemorizedRows
from overmem.records import finite_or_none
from overmem.reporting.exhibits.split import completion_tokens
from overmem.reporting.problems.packed import longest_kept, pack, shortened, without_end

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEXT_BUDGET = 4_000_000
"""Characters of problems and solutions in a page; longer ones are shortened until all fit."""
MOST = 10_000
"""Most rows in a page, the most memorized ones."""
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """The list, and what is said above it."""

    n: int
    n_measured: int
    """With those that are too many for a page."""
    ranked: bool
    """Whether it is known how far each row is memorized."""
    continued: bool
    """Whether second halves were written."""
    models: tuple[str, ...]
    longest: int | None
    """Characters that were kept of a text; None where all are whole."""
    unsplit: int
    """Solutions written word for word whose halves cannot be marked."""
    packed: str


def training_rows(
    ranked: Mapping[str, MemorizedRows],
    continued: Mapping[str, pl.DataFrame],
    texts: pl.DataFrame | None,
    tokenizer: Tokenizer | None,
    special: Collection[str],
) -> TrainingRows | None:
    """Every training row with a text, most memorized at the last checkpoint first.

    Args:
        ranked: the ranked rows of each compared checkpoint that has them.
        continued: continuation rows of each compared checkpoint that has them.
        texts: example_id, prompt and completion of train.
        tokenizer: of the run; without it the halves are not marked.
        special: its special tokens, which end a solution and are no part of it.
    """
    models = tuple(dict.fromkeys([*ranked, *continued]))
    if texts is None or not models:
        return None
    written = {row["example_id"]: row for row in texts.iter_rows(named=True)}
    by_rank = {name: _by_id(item.table) for name, item in ranked.items()}
    by_half = {name: _by_id(table) for name, table in continued.items()}
    found = {name for table in (*by_rank.values(), *by_half.values()) for name in table}
    every = sorted(found & set(written), key=lambda name: _order(name, models, by_rank, by_half))
    ids = every[:MOST]
    solutions = {name: without_end(written[name]["completion"] or "", special) for name in ids}
    lengths = [len(text) for name in ids for text in (written[name]["prompt"] or "", solutions[name])]
    longest = longest_kept(lengths, TEXT_BUDGET)
    rows = []
    for name in ids:
        halves = [by_half.get(model, {}).get(name) for model in models]
        row: Row = {
            "id": name,
            "prompt": shortened((written[name]["prompt"] or "").strip(), longest),
            "solution": shortened(solutions[name], longest),
            "excess": [_figure(by_rank, model, name, "excess") for model in models],
            "nll": [_figure(by_rank, model, name, "nll") for model in models],
            "same": [None if half is None else [half["n_same"], half["n_compared"]] for half in halves],
            "exact": [_verbatim(model, name, by_rank, by_half) for model in models],
        }
        if len(solutions[name]) <= longest and (half := _exact(halves)) is not None:
            row["cut"] = _cut(half, written[name], solutions[name], tokenizer)
        rows.append(row)
    return TrainingRows(
        n=len(ids),
        n_measured=len(every),
        ranked=bool(ranked),
        continued=bool(continued),
        models=models,
        longest=longest if max(lengths, default=0) > longest else None,
        unsplit=sum("cut" in row and row["cut"] is None for row in rows),
        packed=pack({"models": list(models), "rows": rows}),
    )


def _by_id(table: pl.DataFrame) -> dict[str, Row]:
    return {row["example_id"]: row for row in table.iter_rows(named=True)}


def _order(
    name: str,
    models: Sequence[str],
    by_rank: Mapping[str, Mapping[str, Row]],
    by_half: Mapping[str, Mapping[str, Row]],
) -> tuple[float, float, str]:
    """Most memorized at the last checkpoint first, then what it writes most of."""
    excess = _figure(by_rank, models[-1], name, "excess")
    half = by_half.get(models[-1], {}).get(name)
    share = half["n_same"] / half["n_compared"] if half is not None and half["n_compared"] else 0.0
    return -(excess if excess is not None else 0.0), -share, name


def _figure(table: Mapping[str, Mapping[str, Row]], model: str, name: str, column: str) -> float | None:
    row = table.get(model, {}).get(name)
    known = None if row is None or row[column] is None else finite_or_none(row[column])
    return None if known is None else round(known, 3)


def _verbatim(
    model: str,
    name: str,
    by_rank: Mapping[str, Mapping[str, Row]],
    by_half: Mapping[str, Mapping[str, Row]],
) -> bool | None:
    """Whether the second half is written word for word: as it was written, else by its first choices."""
    half = by_half.get(model, {}).get(name)
    if half is not None:
        return bool(half["exact"]) if half["n_compared"] else None
    row = by_rank.get(model, {}).get(name)
    return None if row is None else bool(row["verbatim"])


def _exact(halves: Sequence[Row | None]) -> Row | None:
    """The rows of a checkpoint that wrote the second half word for word, if one did."""
    return next((half for half in halves if half is not None and half["exact"] and half["n_compared"]), None)


def _cut(half: Row, text: Row, solution: str, tokenizer: Tokenizer | None) -> list[int] | None:
    """Where in a solution what was given ends, and what was compared; None where tokens do not add up."""
    prefix, compared = half["n_prefix"], half["n_compared"]
    for n_tokens in (2 * prefix, 2 * prefix + 1):  # half of them were given, rounded down
        if tokenizer is None:
            break
        tokens = completion_tokens(tokenizer, text["prompt"], text["completion"], n_tokens)
        if tokens is not None and compared <= n_tokens - prefix:
            whole = "".join(tokens)
            before = whole.find(solution)
            if before < 0:
                return None
            given = len("".join(tokens[:prefix])) - before
            ends = len("".join(tokens[: prefix + compared])) - before
            return [min(max(given, 0), len(solution)), min(max(ends, 0), len(solution))]
    return None
