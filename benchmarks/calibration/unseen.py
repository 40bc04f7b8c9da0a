"""Simulated fine-tunes that were written after the temperature of the probabilities was frozen: UNSEEN.

The temperature (`overmem.stats.stage_rule.TEMPERATURE`) was chosen by looking at all other generators.
Nothing that changes a figure was changed after these were run.

Shape suffixes: C checkpoints, N problems.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from benchmarks.calibration.generators import (
    TUNING,
    Generator,
    Rng,
    Simulated,
    even_steps,
    gaussian_rows,
    logistic_rows,
    possible,
)


def calming(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """A learning rate that decays: early checkpoints are far off their curve, late ones hardly at all."""
    t = np.linspace(0, 1, checkpoints)
    calm_C = np.exp(-t / rng.uniform(0.15, 0.5))
    accuracy_C = rng.uniform(0.35, 0.85) - rng.uniform(0, 0.15) * np.exp(-t / 0.1)
    accuracy_C += rng.uniform(0.01, 0.05) * calm_C * rng.standard_normal(checkpoints)
    log_nll_C = np.log(rng.uniform(0.2, 0.7)) + rng.uniform(-0.1, 0.4) * t
    log_nll_C += rng.uniform(0.01, 0.08) * calm_C * rng.standard_normal(checkpoints)
    return gaussian_rows(rng, even_steps(checkpoints), possible(accuracy_C), np.exp(log_nll_C), n)


def alternating(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """Every second checkpoint is 1 to 4 points better, as of an average of weights beside the weights."""
    t = np.linspace(0, 1, checkpoints)
    odd_C = (np.arange(checkpoints) + rng.integers(2)) % 2
    accuracy_C = rng.uniform(0.35, 0.85) - rng.uniform(0.05, 0.3) * np.exp(-t / 0.15)
    accuracy_C += rng.uniform(0.01, 0.04) * odd_C + rng.normal(0, 0.004, checkpoints)
    log_nll_C = np.log(rng.uniform(0.2, 0.7)) + rng.uniform(0, 0.4) * np.maximum(t - 0.3, 0)
    log_nll_C -= rng.uniform(0, 0.06) * odd_C
    return gaussian_rows(rng, even_steps(checkpoints), possible(accuracy_C), np.exp(log_nll_C), n)


def rising(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """Accuracy rises to the end and NLL from early on: the run that the paper describes."""
    t = np.linspace(1 / checkpoints, 1, checkpoints)
    start = rng.uniform(-1.0, 0.5)
    ability_C = start + rng.uniform(0.3, 1.5) * t ** rng.uniform(0.2, 0.8)
    ability_C += rng.uniform(0, 0.06) * rng.standard_normal(checkpoints)
    lowest = rng.uniform(0.1, 0.4)
    log_nll_C = np.log(rng.uniform(0.2, 0.7)) + rng.uniform(0.1, 0.6) * np.abs(t - lowest)
    log_nll_C += rng.normal(0, 0.006, checkpoints)
    return logistic_rows(rng, even_steps(checkpoints), ability_C, np.exp(log_nll_C), n, samples=1)


def two_peaks(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """Two broad peaks of accuracy, the second up to 6 points lower or higher; the lowest NLL anywhere."""
    t = np.linspace(0, 1, checkpoints)
    first, second = rng.uniform(0.1, 0.35), rng.uniform(0.6, 0.95)
    wide = rng.uniform(0.05, 0.15)
    height = rng.uniform(0.04, 0.15)
    accuracy_C = rng.uniform(0.3, 0.75) + height * np.exp(-(((t - first) / wide) ** 2))
    accuracy_C += (height + rng.uniform(-0.06, 0.06)) * np.exp(-(((t - second) / wide) ** 2))
    log_nll_C = np.log(rng.uniform(0.2, 0.7)) + rng.uniform(0.1, 0.8) * (t - rng.uniform(0, 1)) ** 2
    log_nll_C += rng.normal(0, 0.008, checkpoints)
    return gaussian_rows(rng, even_steps(checkpoints), possible(accuracy_C), np.exp(log_nll_C), n)


def heavy_jitter(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """A flat run of which every checkpoint is off by 0.5 to 2 points, some by far more (Student, 2)."""
    t = np.linspace(0, 1, checkpoints)
    size = rng.uniform(0.005, 0.02)
    accuracy_C = rng.uniform(0.35, 0.85) + np.clip(size * rng.standard_t(2, checkpoints), -0.2, 0.2)
    log_nll_C = np.log(rng.uniform(0.2, 0.7)) + rng.uniform(0, 0.35) * t
    log_nll_C += np.clip(size * rng.standard_t(2, checkpoints), -0.3, 0.3)
    return gaussian_rows(rng, even_steps(checkpoints), possible(accuracy_C), np.exp(log_nll_C), n)


def _ordinary(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """A run of one of the tuning generators."""
    return list(TUNING.values())[rng.integers(len(TUNING))](rng, n, checkpoints)


def heavy_tails(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """An ordinary run whose problems differ in NLL as log-normal numbers of spread 0.8 to 1.2 do."""
    run = _ordinary(rng, n, checkpoints)
    spread, own = rng.uniform(0.8, 1.2), rng.uniform(0.1, 0.4)
    exponent_C_N = spread * rng.standard_normal(n) + own * rng.standard_normal((checkpoints, n))
    factor_C_N = np.exp(exponent_C_N - (spread**2 + own**2) / 2)
    return replace(run, nll_nats_C_N=run.nll_nats_C_N * factor_C_N)


def outliers(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """An ordinary run of which one problem in 100 has 20 times its NLL, with moves of its own."""
    run = _ordinary(rng, n, checkpoints)
    own_C_N = np.exp(0.3 * rng.standard_normal((checkpoints, n)) - 0.045)
    factor_C_N = np.where(rng.random(n) < 0.01, 20 * own_C_N, 1.0)
    return replace(run, nll_C=run.nll_C * 1.19, nll_nats_C_N=run.nll_nats_C_N * factor_C_N)


UNSEEN: dict[str, Generator] = {
    "calming": calming,
    "alternating": alternating,
    "rising": rising,
    "two-peaks": two_peaks,
    "heavy-jitter": heavy_jitter,
    "heavy-tails": heavy_tails,
    "outliers": outliers,
}
