"""Privacy: how well it can be told which problems were trained on (membership inference).

Members are the train subset, non-members are val. An attack gives each completion a score, higher
for "more likely trained on"; the figures say how well the scores part the two sets. A model that
has not memorized leaves AUROC at 0.5 and TPR at 1% FPR at 1%. That holds only if train and val come
from one distribution: `distribution_warnings` looks for signs that they do not.

Shape suffixes: D draws, M members, K non-members, N problems of one set, T tokens of one completion.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import TRAIN_SCORES, VAL_SCORES, Job
from overmem.axes.axis import Available, Axis
from overmem.errors import DataError
from overmem.stats.arrays import FloatArray
from overmem.stats.measures import Counts, Measure
from overmem.stats.roc import FPR, auroc_D, auroc_estimate, tpr_at_fpr_D
from overmem.tasks.files import is_local
from overmem.tasks.known_datasets import KNOWN
from overmem.tasks.sources import PROCEDURAL, Source, parse_source

BASE_TRAIN, BASE_VAL = Job("score", "train", model="base"), Job("score", "val", model="base")
MEMBERS, NONMEMBERS = "train:score", "val:score"
"""Names of the two populations."""
LOW_SHARE = 0.2
"""Share of a completion's least likely tokens that Min-K% looks at."""
SIGMA_FLOOR = 1e-6
"""Least sigma that z is divided by; the model is certain of the token below it."""
MIN_NONMEMBERS = 100
"""Fewest non-members of which 1% is a whole problem."""
MIN_COMPARED = 20
"""Fewest problems of a set for `distribution_warnings`: below, bootstrap intervals are too narrow."""
CLEAR_DIFFERENCE = 0.05
"""Least distance of AUROC from 0.5 that is worth a warning."""


def jobs(available: Available) -> tuple[Job, ...]:
    """References of members and non-members under the checkpoint, and under the base model if known."""
    if "train" not in available.sets:
        return ()
    return (
        (TRAIN_SCORES, VAL_SCORES, BASE_TRAIN, BASE_VAL) if available.has_base else (TRAIN_SCORES, VAL_SCORES)
    )


def measures(evidence: Evidence) -> tuple[Measure, ...]:
    """AUROC and TPR at 1% FPR of each attack: loss, zlib, min_k, min_k_plus_plus, and base if it was scored.

    Both are shares; lower is better down to 0.5 and 0.01, where the scores say nothing.
    """
    if TRAIN_SCORES not in evidence.rows or VAL_SCORES not in evidence.rows:
        return ()
    has_base = BASE_TRAIN in evidence.rows and BASE_VAL in evidence.rows
    member, nonmember = (
        attack_scores(evidence.rows[job], evidence.texts[job.set], evidence.rows[base] if has_base else None)
        for job, base in ((TRAIN_SCORES, BASE_TRAIN), (VAL_SCORES, BASE_VAL))
    )
    figures = [attack_measures(attack, member[attack], nonmember[attack]) for attack in member]
    return tuple(measure for pair in figures for measure in pair)


def attack_scores(
    rows: pl.DataFrame, texts: pl.DataFrame, base: pl.DataFrame | None = None
) -> dict[str, FloatArray]:
    """The score of every example under every attack, higher for "more likely a member".

    Args:
        rows: likelihood rows of one set under the checkpoint.
        texts: the set's example_id and completion.
        base: its likelihood rows under the model that the fine-tune started from, if known.

    Returns:
        Scores by attack, in the order of `rows`; NaN where an example has no text or no base row.
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
    if base is not None:
        base_nll_N = _joined(rows, base, "nll_nats").fill_null(float("nan")).to_numpy()
        scores["base"] = reference_score(nll_N, base_nll_N, tokens_N)
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
    nll_nats_N: FloatArray, base_nll_nats_N: FloatArray, n_tokens_N: FloatArray
) -> FloatArray:
    """NLL under the base model minus NLL, nats per token: how much the fine-tune has gained.

    The strongest attack here, as it discounts what was easy before (2111.08440).
    """
    with np.errstate(invalid="ignore"):
        return (base_nll_nats_N - nll_nats_N) / n_tokens_N


def attack_measures(attack: str, member_M: FloatArray, nonmember_K: FloatArray) -> tuple[Measure, Measure]:
    """AUROC and TPR at 1% FPR of one attack's scores, as figures that can be resampled."""
    auroc_name, tpr_name = f"auroc_{attack}", f"tpr_at_1pct_fpr_{attack}"
    sizes = {MEMBERS: len(member_M), NONMEMBERS: len(nonmember_K)}
    reason = _why_undefined(member_M, nonmember_K)
    tpr_reason = reason
    if reason is None and len(nonmember_K) < MIN_NONMEMBERS:
        tpr_reason = f"1% FPR needs at least {MIN_NONMEMBERS} non-members, val has {len(nonmember_K)}"

    def auroc_statistic(counts: Counts) -> FloatArray:
        return auroc_D(member_M, nonmember_K, counts[MEMBERS], counts[NONMEMBERS])

    def tpr_statistic(counts: Counts) -> FloatArray:
        return tpr_at_fpr_D(member_M, nonmember_K, counts[MEMBERS], counts[NONMEMBERS], fpr=FPR)

    return (
        Measure(name=auroc_name, direction="lower", sizes=sizes, statistic=auroc_statistic, reason=reason),
        Measure(name=tpr_name, direction="lower", sizes=sizes, statistic=tpr_statistic, reason=tpr_reason),
    )


def distribution_warnings(evidence: Evidence, *, seed: int = 0, draws: int = 2000) -> tuple[str, ...]:
    """Signs that members and non-members do not come from one distribution.

    If they differ by more than having been trained on, the attacks find that difference, and their
    AUROC says little of memorization. Looked at: where the sets come from; an attack that knows
    nothing but the completions' length; the loss of the base model, which has seen neither set. An
    attack that should know nothing is reported when the 95% bootstrap interval of its AUROC excludes
    0.5 and the AUROC is more than 0.05 away from it, so same distributions give each of the two
    reports at most about one time in twenty.

    Args:
        evidence: of any one checkpoint; lengths, sources and base rows are the same at all of them.
        seed: of the bootstrap.
        draws: of the bootstrap.

    Returns:
        One sentence each, with its figures; empty when nothing speaks against the comparison, or
        when there are fewer than 20 examples of a set to tell by.
    """
    found = source_warnings(evidence.sources)
    rng = np.random.default_rng(seed)
    if TRAIN_SCORES in evidence.rows and VAL_SCORES in evidence.rows:
        member_M, nonmember_K = (
            evidence.rows[job]["n_tokens"].to_numpy().astype(float) for job in (TRAIN_SCORES, VAL_SCORES)
        )
        found += _warning("the length of a completion alone", member_M, nonmember_K, rng, draws)
    if BASE_TRAIN in evidence.rows and BASE_VAL in evidence.rows:
        member_M, nonmember_K = (
            loss_score(rows["nll_nats"].to_numpy(), rows["n_tokens"].to_numpy())
            for rows in (evidence.rows[BASE_TRAIN], evidence.rows[BASE_VAL])
        )
        found += _warning("the base model's loss", member_M, nonmember_K, rng, draws)
    return found


def source_warnings(sources: Mapping[str, str]) -> tuple[str, ...]:
    """A warning if train and val, as named in the configuration, are different data sets.

    Splits of one data set, files in one folder, and data sources read as the same task are one data set.
    """
    if "train" not in sources or "val" not in sources or _same_data_set(sources["train"], sources["val"]):
        return ()
    return (
        f"train ({sources['train']}) and val ({sources['val']}) name different data sets, so the "
        "privacy figures may measure how the sets differ, not what was memorized.",
    )


def _warning(
    clue: str, member_M: FloatArray, nonmember_K: FloatArray, rng: np.random.Generator, draws: int
) -> tuple[str, ...]:
    """The warning that an attack which should know nothing tells members from non-members, if it does."""
    if min(len(member_M), len(nonmember_K)) < MIN_COMPARED or _why_undefined(member_M, nonmember_K):
        return ()
    found = auroc_estimate(member_M, nonmember_K, rng, draws)
    if found.low <= 0.5 <= found.high or abs(found.value - 0.5) <= CLEAR_DIFFERENCE:
        return ()
    return (
        f"{clue[0].upper()}{clue[1:]} tells train from val: AUROC {found.value:.2f} "
        f"({found.low:.2f} to {found.high:.2f}, n = {len(member_M)} and {len(nonmember_K)}), so the privacy "
        "figures measure in part how the sets differ, not what was memorized.",
    )


def _same_data_set(first: str, second: str) -> bool:
    one, other = _parsed(first), _parsed(second)
    if one is None or other is None:
        return True  # nothing can be said of a name that no longer reads as a source
    if one.task is not None and other.task is not None:
        return one.task == other.task
    return _place(one) == _place(other)


def _parsed(source: str) -> Source | None:
    try:
        return parse_source(source)
    except DataError:
        return None


def _place(source: Source) -> str:
    """The folder of files, the hub id of a data set, or the name of a task made by rule."""
    if source.task in PROCEDURAL:
        return f"task {source.task}"
    if is_local(source.location):
        path = Path(source.location)
        return f"folder {os.path.abspath(path if path.is_dir() else path.parent)}"
    if not source.location and source.task in KNOWN:
        return f"hub {KNOWN[source.task].hub_id}"
    return f"hub {source.location}"


def _why_undefined(member_M: FloatArray, nonmember_K: FloatArray) -> str | None:
    if not len(member_M) or not len(nonmember_K):
        return f"no {'members (train)' if not len(member_M) else 'non-members (val)'} to compare"
    missing = int(np.isnan(member_M).sum() + np.isnan(nonmember_K).sum())
    if missing:
        return f"{missing} of {len(member_M) + len(nonmember_K)} examples have no score"
    return None


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


AXIS = Axis(
    name="privacy",
    tells="how well training data can be told from other data (membership inference)",
    jobs=jobs,
    measures=measures,
    needs="it needs the training data: pass --train",
    uses_base=True,
    warnings=distribution_warnings,
)
