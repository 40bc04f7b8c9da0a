"""Token view: references whose tokens are shaded by how probable each checkpoint finds them.

Shape suffixes: N problems, T tokens of one completion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from overmem.reporting.downloads import Cell, Table
from overmem.reporting.exhibits.split import completion_tokens
from overmem.stats.arrays import FloatArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

EXAMPLES = 3
TRIED = 30
"""Candidates looked at before giving up on finding some whose tokens add up."""
LONGEST = 320
"""Most tokens shown of one reference."""
COLUMNS = ("nll_nats", "logprob", "is_top1")
"""What is read of a reference that is shown."""


@dataclass(frozen=True, kw_only=True)
class TokenPrediction:
    """One reference under one checkpoint."""

    logprob_T: tuple[float, ...]
    is_top1_T: tuple[bool, ...]
    nll_nats: float
    """Of the whole reference, tokens not shown included."""


@dataclass(frozen=True, kw_only=True)
class TokenExample:
    """One reference, token by token."""

    example_id: str
    prompt: str
    texts_T: tuple[str, ...]
    """Of the tokens shown."""
    n_tokens: int
    predictions: Mapping[str, TokenPrediction]
    """Of each checkpoint."""


@dataclass(frozen=True, kw_only=True)
class TokenView:
    """The examples, or why there are none."""

    before: str = ""
    after: str = ""
    n: int = 0
    """Problems they were chosen from."""
    examples: tuple[TokenExample, ...] = ()
    mismatched: int = 0
    """Examples left out because their tokens did not add up."""
    reason: str | None = None


def token_view(
    rows: Mapping[str, pl.DataFrame],
    read: Callable[[str, Sequence[str]], pl.DataFrame],
    texts: pl.DataFrame | None,
    tokenizer: Tokenizer | None,
    before: str | None,
    after: str,
) -> TokenView:
    """The references whose NLL rose most from one checkpoint to another.

    Args:
        rows: likelihood rows on val of each checkpoint, aligned.
        read: the columns of `COLUMNS` of some problems at a checkpoint.
        texts: example_id, prompt and completion of val.
        tokenizer: of the run; None when it has none that can be read without its model.
        before: the checkpoint that one would ship; None when that is the last.
        after: the last.
    """
    if before is None or before not in rows or after not in rows:
        return TokenView(reason="there is no earlier checkpoint to compare the last one with")
    if texts is None:
        return TokenView(reason="the texts of the problems were not saved; run `overmem audit` again")
    if tokenizer is None:
        reason = (
            "no tokenizer.json lies beside the checkpoints, so the references cannot be split into tokens"
        )
        return TokenView(reason=reason)
    rise_N = rows[after]["nll_nats"].to_numpy() - rows[before]["nll_nats"].to_numpy()
    written = {row["example_id"]: row for row in texts.iter_rows(named=True)}
    first = next(iter(rows.values()))
    lengths = dict(first.select("example_id", "n_tokens").iter_rows())
    found: list[TokenExample] = []
    mismatched = 0
    for i in np.argsort(-rise_N, kind="stable")[:TRIED]:
        name = first["example_id"][int(i)]
        example = _example(name, lengths[name], [*rows], read, written.get(name), tokenizer)
        found += [example] if example is not None else []
        mismatched += example is None
        if len(found) == EXAMPLES:
            break
    foreign = "the run's tokenizer splits the references into other tokens than the audit did"
    return TokenView(
        before=before,
        after=after,
        n=len(rise_N),
        examples=tuple(found),
        mismatched=mismatched,
        reason=None if found else foreign,
    )


def _example(
    example_id: str,
    n_tokens: int,
    checkpoints: Sequence[str],
    read: Callable[[str, Sequence[str]], pl.DataFrame],
    text: Mapping[str, str] | None,
    tokenizer: Tokenizer,
) -> TokenExample | None:
    if text is None:
        return None
    texts = completion_tokens(tokenizer, text["prompt"], text["completion"], n_tokens)
    if texts is None:
        return None
    return TokenExample(
        example_id=example_id,
        prompt=text["prompt"],
        texts_T=tuple(texts[:LONGEST]),
        n_tokens=n_tokens,
        predictions={name: _prediction(read(name, [example_id])) for name in checkpoints},
    )


def _prediction(row: pl.DataFrame) -> TokenPrediction:
    logprob_T = row["logprob"][0]
    return TokenPrediction(
        logprob_T=tuple(round(float(p), 4) for p in logprob_T[:LONGEST]),
        is_top1_T=tuple(bool(t) for t in row["is_top1"][0][:LONGEST]),
        nll_nats=float(row["nll_nats"][0]),
    )


def shade(logprob_T: FloatArray | tuple[float, ...]) -> list[int]:
    """How strongly each token is shaded, 0 (certain) to 8 (-ln p of 6 nats and more)."""
    nats_T = -np.asarray(logprob_T, dtype=np.float64)
    return [int(step) for step in np.clip(np.ceil((nats_T - 0.05) / 6.0 * 8), 0, 8)]


def token_table(view: TokenView) -> Table:
    """One row a token; texts are written as JSON strings, so that spaces show."""
    import json

    rows: list[tuple[Cell, ...]] = [
        (name, example.example_id, at, json.dumps(text, ensure_ascii=False), logprob, top1)
        for example in view.examples
        for name, prediction in example.predictions.items()
        for at, (text, logprob, top1) in enumerate(
            zip(example.texts_T, prediction.logprob_T, prediction.is_top1_T, strict=True)
        )
    ]
    columns = ("checkpoint", "example_id", "position", "token", "logprob_nats", "is_first_choice")
    return Table(columns=columns, rows=tuple(rows))
