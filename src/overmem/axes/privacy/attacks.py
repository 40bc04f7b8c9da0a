"""Attacks: a score of every completion, higher for "more likely trained on" (membership inference).

Shape suffixes: N problems of one set, T tokens of one completion.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from overmem.stats.arrays import FloatArray

LOW_SHARE = 0.2
"""Share of a completion's least likely tokens that Min-K% looks at."""
SIGMA_FLOOR = 1e-6
"""Least sigma that z is divided by; the model is certain of the token below it."""


def attack_scores(
    rows: pl.DataFrame, texts: pl.DataFrame, references: Mapping[str, pl.DataFrame]
) -> dict[str, FloatArray]:
    """The score of every example under every attack, higher for "more likely a member".

    Args:
        rows: likelihood rows of one set under the checkpoint.
        texts: the set's example_id and completion.
        references: its likelihood rows under other models, by the name of the attack that compares with
            them: `early`, the run's first checkpoint, and `base`, the model that the fine-tune started from.

    Returns:
        Scores by attack, in the order of `rows`; NaN where an example has no text or no row of the reference.
    """
    nll_N = rows["nll_nats"].to_numpy()
    tokens_N = rows["n_tokens"].to_numpy().astype(float)
    completions = _joined(rows, texts, "completion").to_list()
    logprobs, mus, sigmas = (
        [np.asarray(values, dtype=float) for values in rows[column]] for column in ("logprob", "mu", "sigma")
    )
    scores = {
        "loss": loss_score(nll_N, tokens_N),
        "zlib": np.array(
            [
                float("nan") if text is None else zlib_score(nll, text)
                for nll, text in zip(nll_N, completions, strict=True)
            ]
        ),
        "min_k": np.array([min_k_score(values) for values in logprobs]),
        "min_k_plus_plus": np.array(
            [min_k_plus_plus_score(*values) for values in zip(logprobs, mus, sigmas, strict=True)]
        ),
    }
    for name, reference in references.items():
        reference_nll_N = _joined(rows, reference, "nll_nats").fill_null(float("nan")).to_numpy()
        scores[name] = reference_score(nll_N, reference_nll_N, tokens_N)
    return scores


def loss_score(nll_nats_N: FloatArray, n_tokens_N: FloatArray) -> FloatArray:
    """Minus the NLL per token, nats: what was trained on is more probable (1709.01604)."""
    return -nll_nats_N / n_tokens_N


def zlib_score(nll_nats: float, completion: str) -> float:
    """Minus the NLL over the bytes of the zlib-compressed text, nats per byte (2012.07805).

    Discounts texts that are probable because they are repetitive.
    """
    return -float(nll_nats) / len(zlib.compress(completion.encode()))


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


def reference_score(
    nll_nats_N: FloatArray, reference_nll_nats_N: FloatArray, n_tokens_N: FloatArray
) -> FloatArray:
    """NLL under a reference model minus NLL, nats per token: how much was gained since.

    Discounts what the reference found easy (2111.08440). The base model as reference leaves in what training
    taught of the task, which differs from problem to problem; an early checkpoint of the run has learned most
    of that already.
    """
    with np.errstate(invalid="ignore"):
        return (reference_nll_nats_N - nll_nats_N) / n_tokens_N


def _joined(rows: pl.DataFrame, other: pl.DataFrame, column: str) -> pl.Series:
    """A column of another table for each of the rows, in their order; null where it has none."""
    theirs = other.select("example_id", theirs=column)
    joined = rows.select("example_id").join(
        theirs, on="example_id", how="left", maintain_order="left", validate="1:1"
    )
    return joined["theirs"]


def _mean_of_lowest(value_T: FloatArray, share: float) -> float:
    if not 0 < share <= 1:
        raise ValueError(f"share of tokens must be in (0, 1], got {share}")
    if not len(value_T):
        return float("nan")
    return float(np.sort(value_T)[: max(1, int(share * len(value_T)))].mean())
