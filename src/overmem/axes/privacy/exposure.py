"""Exposure of canaries: how much less likely than by chance their rank is (Carlini et al., 1802.08232).

Shape suffixes: D draws, M canaries that were put in, K candidates that were not.
"""

from __future__ import annotations

import numpy as np

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import Job
from overmem.axes.privacy.attacks import loss_score
from overmem.stats.arrays import FloatArray
from overmem.stats.measures import Counts, Measure

CANARIES, CANDIDATES = "canaries", "canary_candidates"
"""Names of the two sets of an audit."""
CANARY_SCORES, CANDIDATE_SCORES = Job("score", CANARIES), Job("score", CANDIDATES)


def exposure(canary_M: FloatArray, candidate_K: FloatArray) -> FloatArray:
    """Bits of each canary: log2 of candidates and itself, less log2 of its rank among them.

    Args:
        canary_M: score of each canary, higher for more probable.
        candidate_K: score of each candidate, at least one.

    Returns:
        From 0, the last, to log2(K + 1), the first; 1.44 less a little on average for what was never seen.
    """
    return np.asarray(_exposure_D_M(canary_M, candidate_K, np.ones((1, len(candidate_K))))[0])


def exposure_measures(evidence: Evidence) -> tuple[Measure, ...]:
    """The mean exposure of the canaries, bits; lower is better. Nothing where there are none."""
    if CANARY_SCORES not in evidence.rows or CANDIDATE_SCORES not in evidence.rows:
        return ()
    canary_M, candidate_K = (
        loss_score(rows["nll_nats"].to_numpy(), rows["n_tokens"].to_numpy().astype(float))
        for rows in (evidence.rows[CANARY_SCORES], evidence.rows[CANDIDATE_SCORES])
    )

    def statistic(counts: Counts) -> FloatArray:
        exposure_D_M = _exposure_D_M(canary_M, candidate_K, counts[CANDIDATES])
        with np.errstate(invalid="ignore"):
            return np.asarray((counts[CANARIES] * exposure_D_M).sum(axis=1) / counts[CANARIES].sum(axis=1))

    sizes = {CANARIES: len(canary_M), CANDIDATES: len(candidate_K)}
    return (Measure(name="exposure", direction="lower", sizes=sizes, statistic=statistic),)


def _exposure_D_M(canary_M: FloatArray, candidate_K: FloatArray, counts_D_K: FloatArray) -> FloatArray:
    """Exposure of each canary with the candidates counted as often as a draw says; ties rank it last."""
    order_K = np.argsort(-candidate_K)
    above_M = np.searchsorted(-candidate_K[order_K], -canary_M, side="right")
    sums_D_K1 = np.concatenate(
        [np.zeros((len(counts_D_K), 1)), np.cumsum(counts_D_K[:, order_K], axis=1)], axis=1
    )
    rank_D_M = 1 + sums_D_K1[:, above_M]
    return np.asarray(np.log2(1 + sums_D_K1[:, -1:]) - np.log2(rank_D_M))
