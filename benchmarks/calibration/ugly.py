"""Simulated fine-tunes with ugly curves: UGLY_BEFORE and UGLY_AFTER the method was frozen.

The part of the prior for single checkpoints off their curve (`overmem.stats.curves.spikes`) was settled by
looking at the first group. The second was written when the method was frozen; nothing was changed after it
was run.

Shape suffixes: C checkpoints, N problems.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from benchmarks.calibration.generators import (
    FloatArray,
    Generator,
    Rng,
    Simulated,
    even_steps,
    gaussian_rows,
    logistic_rows,
    possible,
)


def _calm_nll(rng: Rng, checkpoints: int) -> FloatArray:
    """NLL that drifts by little, in nats per token."""
    t = np.linspace(0, 1, checkpoints)
    log_nll_C = np.log(rng.uniform(0.2, 0.7)) + rng.normal(0.05, 0.1) * t
    return np.asarray(np.exp(log_nll_C + rng.normal(0, 0.005, checkpoints)))


def _flat(rng: Rng, n: int, accuracy_C: FloatArray) -> Simulated:
    checkpoints = accuracy_C.size
    accuracy_C = possible(accuracy_C)
    return gaussian_rows(rng, even_steps(checkpoints), accuracy_C, _calm_nll(rng, checkpoints), n)


# ---------------------------------------------------------------- UGLY_BEFORE (looked at while tuning)


def three_bad(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """A flat run of which one checkpoint in ten, at least one, is 15 points down."""
    accuracy_C = np.full(checkpoints, rng.uniform(0.4, 0.9))
    bad = rng.choice(checkpoints, max(1, round(checkpoints / 10)), replace=False)
    accuracy_C[bad] -= 0.15
    return _flat(rng, n, accuracy_C + rng.normal(0, 0.003, checkpoints))


def one_bad(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """A flat run of which one checkpoint is 8 to 30 points down."""
    accuracy_C = np.full(checkpoints, rng.uniform(0.4, 0.9))
    accuracy_C[rng.integers(checkpoints)] -= rng.uniform(0.08, 0.3)
    return _flat(rng, n, accuracy_C)


def isolated_peak(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """One checkpoint stands 2.5 to 3.5 points above all others: on the threshold of the rule."""
    accuracy_C = np.full(checkpoints, rng.uniform(0.4, 0.9))
    accuracy_C[rng.integers(checkpoints)] += rng.uniform(0.025, 0.035)
    return _flat(rng, n, accuracy_C + rng.normal(0, 0.001, checkpoints))


# ---------------------------------------------------------------- UGLY_AFTER (written when it was frozen)


def restarts(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """The learning rate restarts two to four times: accuracy falls, NLL rises, and both come back."""
    t = np.linspace(0, 1, checkpoints)
    accuracy_C = rng.uniform(0.4, 0.85) - rng.uniform(0.1, 0.3) * np.exp(-t / 0.1)
    log_nll_C = np.log(rng.uniform(0.2, 0.7)) + 0.3 * np.exp(-t / 0.1) + rng.normal(0.1, 0.15) * t
    for start in rng.uniform(0.15, 0.95, rng.integers(2, 5)):
        since_C = np.where(t >= start, t - start, np.inf)
        back = np.exp(-since_C / rng.uniform(0.02, 0.08))
        accuracy_C -= rng.uniform(0.02, 0.1) * back
        log_nll_C += rng.uniform(0.02, 0.15) * back
    accuracy_C += rng.normal(0, 0.003, checkpoints)
    return gaussian_rows(rng, even_steps(checkpoints), possible(accuracy_C), np.exp(log_nll_C), n)


def jitter(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """Every checkpoint is off its curve: by 1 to 4 points, with heavier tails than a Gaussian's."""
    t = np.linspace(0, 1, checkpoints)
    size = rng.uniform(0.01, 0.04)
    ability_C = rng.normal(0.3, 0.8) - rng.uniform(0, 1.5) * np.exp(-t / 0.15)
    ability_C += 5 * size * rng.standard_t(4, checkpoints) / np.sqrt(2)
    log_nll_C = np.log(rng.uniform(0.2, 0.6)) + rng.uniform(0, 0.4) * t**2
    log_nll_C += size * rng.standard_t(4, checkpoints) / np.sqrt(2)
    return logistic_rows(rng, even_steps(checkpoints), ability_C, np.exp(log_nll_C), n, samples=1)


def margins(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """Late checkpoints lie on both thresholds: 2.5 to 3.5 points below, perplexity 1.08 to 1.12 times."""
    t = np.linspace(0, 1, checkpoints)
    late_C = np.clip((t - 0.4) / 0.2, 0, 1)
    accuracy_C = rng.uniform(0.4, 0.85) - rng.uniform(0.025, 0.035) * late_C
    nll_C = rng.uniform(0.2, 0.7) + np.log(rng.uniform(1.08, 1.12)) * late_C
    return gaussian_rows(rng, even_steps(checkpoints), accuracy_C, nll_C, n)


def failed_evaluation(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """At some checkpoints a share of the answers was lost, and counts as wrong; NLL is untouched."""
    t = np.linspace(0, 1, checkpoints)
    accuracy_C = rng.uniform(0.4, 0.9) * (1 - rng.uniform(0, 0.5) * np.exp(-t / 0.1))
    run = _flat(rng, n, accuracy_C + rng.normal(0, 0.004, checkpoints))
    lost_C = np.where(
        rng.random(checkpoints) < rng.uniform(0.02, 0.15), rng.uniform(0.05, 0.7, checkpoints), 0
    )
    kept_C_N = rng.random((checkpoints, n)) >= lost_C[:, None]
    return replace(run, accuracy_C=run.accuracy_C * (1 - lost_C), correct_C_N=run.correct_C_N * kept_C_N)


def loss_spikes(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """NLL jumps by 10 to 100% at one to three places and takes one to three checkpoints to come back."""
    t = np.linspace(0, 1, checkpoints)
    log_nll_C = np.log(rng.uniform(0.2, 0.6)) + 0.3 * np.exp(-t / 0.1) + rng.normal(0.1, 0.2) * t
    accuracy_C = rng.uniform(0.4, 0.85) - rng.uniform(0.05, 0.3) * np.exp(-t / 0.15)
    for _ in range(rng.integers(1, 4)):
        since_C = np.arange(checkpoints) - rng.integers(1, checkpoints)
        back_C = np.where(since_C >= 0, np.exp(-np.maximum(since_C, 0) / rng.uniform(0.3, 1.5)), 0)
        log_nll_C += np.log(rng.uniform(1.1, 2.0)) * back_C
        accuracy_C -= rng.uniform(0, 0.08) * back_C
    log_nll_C += rng.normal(0, 0.005, checkpoints)
    return gaussian_rows(rng, even_steps(checkpoints), possible(accuracy_C), np.exp(log_nll_C), n)


UGLY_BEFORE: dict[str, Generator] = {
    "three-bad": three_bad,
    "one-bad": one_bad,
    "isolated-peak": isolated_peak,
}
UGLY_AFTER: dict[str, Generator] = {
    "restarts": restarts,
    "jitter": jitter,
    "margins": margins,
    "failed-evaluation": failed_evaluation,
    "loss-spikes": loss_spikes,
}
