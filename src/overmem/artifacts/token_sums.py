"""What a verdict needs of a reference's tokens, summed when they are scored and kept in its row.

A reference may have tens of thousands of tokens, and a verdict is about problems: with these figures its time
and memory grow with problems alone. The lists of tokens stay in the file for those who want to see them.

Shapes: T tokens of one completion, G temperatures, B cells of confidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

FloatArray = npt.NDArray[np.float64]

LOW_SHARE = 0.2
"""Share of a completion's least likely tokens that Min-K% looks at."""
SIGMA_FLOOR = 1e-6
"""Least sigma that z is divided by; the model is certain of the token below it."""
CELLS = 2048
"""Cells of confidence, the first for all below the lowest logit, the last for all above the highest."""
LOWEST_LOGIT = -13.0
CELLS_A_LOGIT = 64
"""Narrow enough that a bin of a fifteenth of the tokens holds many, where a model is equally sure of most."""

AT_TEMPERATURE = "logprob_at_temperature"
"""Ln p of each token at each temperature of the grid: scored, summed, and not kept."""
SUMS: dict[str, Any] = {
    "last_logprob": pl.Float64,
    "second_half_is_top1": pl.Boolean,
    "nll_at_temperature": pl.List(pl.Float64),
    "min_k": pl.Float64,
    "min_k_plus_plus": pl.Float64,
    "cell": pl.List(pl.UInt16),
    "cell_tokens": pl.List(pl.UInt32),
    "cell_right": pl.List(pl.UInt32),
    "cell_confidence": pl.List(pl.Float64),
}
"""Columns of a likelihood row that are made of its lists; null where a list is not there."""
MADE_OF: dict[str, tuple[str, ...]] = {
    "last_logprob": ("logprob",),
    "second_half_is_top1": ("is_top1",),
    "nll_at_temperature": (AT_TEMPERATURE,),
    "min_k": ("logprob",),
    "min_k_plus_plus": ("logprob", "mu", "sigma"),
    **dict.fromkeys(
        ("cell", "cell_tokens", "cell_right", "cell_confidence"), ("top1_logprob", "is_top1")
    ),
}  # fmt: skip
"""The lists that each is made of."""


def with_sums(table: pl.DataFrame) -> pl.DataFrame:
    """Likelihood rows with the columns of `SUMS`, made of their lists.

    Args:
        table: rows with lists of tokens; a list that is missing, or null, leaves null what is made of it.
    """
    wanted = {name for needed in MADE_OF.values() for name in needed} & set(table.columns)
    lists = {name: (_tables if name == AT_TEMPERATURE else _lists)(table[name]) for name in wanted}
    made = [sums_of({name: rows[i] for name, rows in lists.items()}) for i in range(len(table))]
    return table.with_columns(pl.DataFrame(made, schema=SUMS).get_columns())


def sums_of(lists: Mapping[str, npt.NDArray[Any] | None]) -> dict[str, Any]:
    """The columns of `SUMS` of one row.

    Args:
        lists: arrays (T,) by column, and (T, G) of `logprob_at_temperature`; None where it is not known.
    """
    there = {name for name, values in lists.items() if values is not None and len(values)}
    get: Any = lists.get
    found: dict[str, Any] = dict.fromkeys(SUMS)
    if "logprob" in there:
        found["last_logprob"] = float(get("logprob")[-1])
        found["min_k"] = min_k_score(get("logprob"))
    if {"logprob", "mu", "sigma"} <= there:
        found["min_k_plus_plus"] = min_k_plus_plus_score(get("logprob"), get("mu"), get("sigma"))
    if "is_top1" in there:
        found["second_half_is_top1"] = bool(np.all(get("is_top1")[len(get("is_top1")) // 2 :]))
    if AT_TEMPERATURE in there:
        found["nll_at_temperature"] = (-get(AT_TEMPERATURE).sum(axis=0, dtype=np.float64)).tolist()
    if {"top1_logprob", "is_top1"} <= there:
        found |= cells_of(get("top1_logprob"), get("is_top1"))
    return found


def cells_of(top1_logprob_T: npt.ArrayLike, is_top1_T: npt.ArrayLike) -> dict[str, list[Any]]:
    """How often a model was how sure of its first choice, and how often that was the reference's token.

    Args:
        top1_logprob_T: ln p of the first choice at each token.
        is_top1_T: whether it is the reference's token.

    Returns:
        Of each cell that holds tokens, in order of confidence: its number, its tokens, those where the first
        choice was right, and the sum of their confidences.
    """
    logprob_T = np.asarray(top1_logprob_T, dtype=np.float64)
    cell_T = confidence_cells(logprob_T)
    tokens_B = np.bincount(cell_T, minlength=CELLS)
    right_B = np.bincount(cell_T, np.asarray(is_top1_T, dtype=np.float64), minlength=CELLS)
    sure_B = np.bincount(cell_T, np.exp(logprob_T), minlength=CELLS)
    held = np.flatnonzero(tokens_B)
    return {
        "cell": held.tolist(),
        "cell_tokens": tokens_B[held].tolist(),
        "cell_right": right_B[held].astype(np.int64).tolist(),
        "cell_confidence": sure_B[held].tolist(),
    }


def confidence_cells(logprob_T: FloatArray) -> npt.NDArray[np.int64]:
    """The cell of each confidence: it grows with it, and cells are equally wide in ln(p / (1 - p)).

    Args:
        logprob_T: ln p, at most 0.
    """
    with np.errstate(divide="ignore"):
        logit_T = logprob_T - np.log(-np.expm1(np.minimum(logprob_T, 0.0)))
    places_T = np.floor((logit_T - LOWEST_LOGIT) * CELLS_A_LOGIT)
    return np.asarray(np.clip(np.nan_to_num(places_T, nan=0.0), 0, CELLS - 1), dtype=np.int64)


def min_k_score(logprob_T: npt.ArrayLike, share: float = LOW_SHARE) -> float:
    """Min-K%: mean ln p of the least likely tokens, nats (2310.16789).

    Args:
        logprob_T: ln p of each token of one completion, at least one.
        share: of the tokens taken, in (0, 1]; rounded down, at least one token.
    """
    return _mean_of_lowest(np.asarray(logprob_T, dtype=float), share)


def min_k_plus_plus_score(
    logprob_T: npt.ArrayLike, mu_T: npt.ArrayLike, sigma_T: npt.ArrayLike, share: float = LOW_SHARE
) -> float:
    """Min-K%++: mean z of the tokens lowest in z = (ln p - mu) / sigma (2404.02936).

    Puts each token on the scale of the model's own distribution at its position.

    Args:
        logprob_T: ln p of each token of one completion, at least one.
        mu_T: mean of ln p under the model at each position.
        sigma_T: its standard deviation; where the model is certain (0), z is 0 for the certain token.
        share: of the tokens taken, in (0, 1]; rounded down, at least one token.
    """
    above_mean_T = np.asarray(logprob_T, dtype=float) - np.asarray(mu_T, dtype=float)
    return _mean_of_lowest(above_mean_T / np.maximum(np.asarray(sigma_T, dtype=float), SIGMA_FLOOR), share)


def _mean_of_lowest(value_T: FloatArray, share: float) -> float:
    if not 0 < share <= 1:
        raise ValueError(f"share of tokens must be in (0, 1], got {share}")
    if not len(value_T):
        return float("nan")
    return float(np.sort(value_T)[: max(1, int(share * len(value_T)))].mean())


def _lists(column: pl.Series) -> list[npt.NDArray[Any] | None]:
    """The array of each row's list; None where it is null."""
    lengths = column.list.len().fill_null(0).to_numpy()
    flat = column.filter(column.list.len() > 0).explode().to_numpy()
    ends = np.cumsum(lengths)
    nulls = column.is_null().to_list()
    return [
        None if is_null else flat[end - length : end]
        for is_null, end, length in zip(nulls, ends, lengths, strict=True)
    ]


def _tables(column: pl.Series) -> list[npt.NDArray[Any] | None]:
    """The table (T, G) of each row's lists; G is 0 where tokens have no values, or not all as many."""
    rows = column.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    tokens, ends_N = rows.values, rows.offsets.to_numpy()
    values, ends_T = tokens.values.to_numpy(), tokens.offsets.to_numpy()
    found: list[npt.NDArray[Any] | None] = []
    for is_null, first, last in zip(column.is_null(), ends_N, ends_N[1:], strict=False):
        of_row_T = ends_T[first : last + 1]
        sizes = set(np.diff(of_row_T).tolist())
        size = sizes.pop() if len(sizes) == 1 else 0
        table = values[of_row_T[0] : of_row_T[-1]] if size else values[:0]
        found.append(None if is_null else table.reshape(last - first, size))
    return found
