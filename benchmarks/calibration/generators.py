"""Simulated fine-tunes whose true curves are known: TUNING, HELD_OUT and STRESS ones.

A generator makes a truth (accuracy and NLL of every checkpoint on the whole population) and rows
drawn from it. Problems keep their difficulty across checkpoints, so rows are strongly paired.
The method may be changed by looking at TUNING generators only. STRESS was written after the held-out
results were seen, to isolate what fell short there; the method was not changed for it.

Shape suffixes: C checkpoints, N problems.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, ndtri

FloatArray = npt.NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True)
class Simulated:
    """One simulated run: its truth and its rows."""

    steps_C: npt.NDArray[np.int64]
    accuracy_C: FloatArray
    """True accuracy."""
    nll_C: FloatArray
    """True NLL, nats per token."""
    correct_C_N: FloatArray
    nll_nats_C_N: FloatArray
    n_tokens_N: FloatArray


Generator = Callable[[Rng, int, int], Simulated]


# ---------------------------------------------------------------- rows from curves


def ou_noise(rng: Rng, checkpoints: int, n: int, keep: float) -> FloatArray:
    """Unit-variance noise (C, N) whose correlation between neighbours is `keep`."""
    values_C_N = rng.standard_normal((checkpoints, n))
    for c in range(1, checkpoints):
        values_C_N[c] = keep * values_C_N[c - 1] + np.sqrt(1 - keep**2) * values_C_N[c]
    return values_C_N


def token_counts(rng: Rng, n: int) -> FloatArray:
    """Completion lengths: log-normal around 90 tokens."""
    return np.maximum(1.0, np.round(np.exp(rng.normal(4.5, rng.uniform(0.2, 0.6), n))))


def gaussian_rows(
    rng: Rng, steps_C: npt.NDArray[np.int64], accuracy_C: FloatArray, nll_C: FloatArray, n: int
) -> Simulated:
    """Rows by a Gaussian copula (accuracy) and log-normal factors of mean 1 (NLL); truth is exact."""
    checkpoints = steps_C.size
    difficulty_N = rng.standard_normal(n)
    share, drift = rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.25)
    keep = rng.uniform(0.3, 0.95)
    latent_C_N = (
        np.sqrt(share) * difficulty_N
        + np.sqrt(drift) * ou_noise(rng, checkpoints, n, keep)
        + np.sqrt(1 - share - drift) * rng.standard_normal((checkpoints, n))
    )
    correct_C_N = (latent_C_N < ndtri(np.clip(accuracy_C, 1e-6, 1 - 1e-6))[:, None]).astype(float)
    n_tokens_N = token_counts(rng, n)
    link = rng.uniform(0.2, 0.8)
    hardness_N = link * difficulty_N + np.sqrt(1 - link**2) * rng.standard_normal(n)
    spread, wobble = rng.uniform(0.3, 0.6), rng.uniform(0.08, 0.25)
    exponent_C_N = (
        spread * hardness_N - spread**2 / 2 + wobble * ou_noise(rng, checkpoints, n, keep) - wobble**2 / 2
    )
    return Simulated(
        steps_C,
        accuracy_C,
        nll_C,
        correct_C_N,
        n_tokens_N * nll_C[:, None] * np.exp(exponent_C_N),
        n_tokens_N,
    )


def possible(accuracy_C: FloatArray) -> FloatArray:
    """Accuracies kept from 0 and 1, where rows would have no noise."""
    return np.asarray(np.clip(accuracy_C, 0.02, 0.98))


def even_steps(checkpoints: int) -> npt.NDArray[np.int64]:
    """Checkpoints every 100 steps."""
    return 100 * np.arange(1, checkpoints + 1)


# ---------------------------------------------------------------- TUNING


def tune_saturating(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """Accuracy saturates with jitter; NLL falls, then rises about linearly."""
    t = np.linspace(1 / checkpoints, 1, checkpoints)
    top, rise = rng.uniform(0.3, 0.9), rng.uniform(0.05, 0.3)
    accuracy_C = top * (1 - rng.uniform(0.2, 0.8) * np.exp(-t / rise)) + rng.normal(
        0, rng.uniform(0.002, 0.015), checkpoints
    )
    fall, turn = rng.uniform(0.05, 0.3), rng.uniform(0.1, 0.8)
    nll_C = rng.uniform(0.2, 0.6) * (
        1 + rng.uniform(0.1, 0.5) * np.exp(-t / fall) + rng.uniform(0, 1.0) * np.maximum(t - turn, 0)
    )
    nll_C = nll_C * np.exp(rng.normal(0, rng.uniform(0.001, 0.01), checkpoints))
    return gaussian_rows(rng, even_steps(checkpoints), possible(accuracy_C), nll_C, n)


def tune_peaked(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """Accuracy peaks and sinks slowly; NLL is a parabola in log steps."""
    t = np.log1p(np.arange(checkpoints)) / np.log(checkpoints)
    top, at = rng.uniform(0.35, 0.9), rng.uniform(0.3, 0.9)
    accuracy_C = (
        top
        - rng.uniform(0.05, 0.3) * (t - at) ** 2 / 0.5
        + rng.normal(0, rng.uniform(0.002, 0.02), checkpoints)
    )
    nll_C = rng.uniform(0.15, 0.7) * np.exp(rng.uniform(0.2, 1.5) * (t - rng.uniform(0.2, 0.9)) ** 2)
    return gaussian_rows(rng, even_steps(checkpoints), possible(accuracy_C), nll_C, n)


def tune_smooth(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """Sums of random cosines on a plateau, for both measures, with a drift in NLL."""
    t = np.linspace(0, 1, checkpoints)

    def waves(scale: float) -> FloatArray:
        order = np.arange(1, 7)
        return scale * (
            rng.normal(0, 1 / order, 6) @ np.cos(np.pi * order[:, None] * t + rng.uniform(0, 6.28, (6, 1)))
        )

    accuracy_C = (
        rng.uniform(0.25, 0.85)
        + waves(rng.uniform(0.005, 0.06))
        + rng.normal(0, rng.uniform(0.0, 0.015), checkpoints)
    )
    log_nll_C = np.log(rng.uniform(0.2, 0.7)) + waves(rng.uniform(0.01, 0.15)) + rng.normal(0.2, 0.25) * t
    return gaussian_rows(rng, even_steps(checkpoints), possible(accuracy_C), np.exp(log_nll_C), n)


TUNING: dict[str, Generator] = {
    "saturating": tune_saturating,
    "peaked": tune_peaked,
    "smooth": tune_smooth,
}


# ---------------------------------------------------------------- HELD_OUT (never used to tune)


_SLOPE_SD = 0.3


def _logistic_truth(ability_C: FloatArray, spread: float) -> FloatArray:
    """Integrate the item curve over difficulties (Gaussian) and slopes (log-normal)."""
    place_A, weight_A = np.polynomial.hermite_e.hermegauss(60)
    slope_B, slope_weight_B = np.polynomial.hermite_e.hermegauss(20)
    curve_C_A_B = expit(np.exp(_SLOPE_SD * slope_B) * (ability_C[:, None, None] + spread * place_A[:, None]))
    return np.asarray(curve_C_A_B @ slope_weight_B @ weight_A / (weight_A.sum() * slope_weight_B.sum()))


def logistic_rows(
    rng: Rng, steps_C: npt.NDArray[np.int64], ability_C: FloatArray, nll_C: FloatArray, n: int, samples: int
) -> Simulated:
    """Rows from item response theory: two-parameter logistic items, heavy-tailed NLL.

    Each problem's chance of being right wanders around its item curve, with an error it
    keeps from one checkpoint to the next for a while. Truth is exact to quadrature.
    """
    checkpoints = steps_C.size
    spread, noise, keep = rng.uniform(0.8, 2.5), rng.uniform(0.3, 1.2), rng.uniform(0.0, 0.9)
    degrees, size = rng.uniform(4, 8), rng.uniform(0.2, 0.4)

    accuracy_C = _logistic_truth(ability_C, np.hypot(spread, noise))
    difficulty_N = spread * rng.standard_normal(n)
    slope_N = np.exp(_SLOPE_SD * rng.standard_normal(n))
    wobble_C_N = noise * ou_noise(rng, checkpoints, n, keep)
    chance_C_N = expit(slope_N * (ability_C[:, None] - difficulty_N + wobble_C_N))
    hardness_N = difficulty_N / spread
    correct_C_N = rng.binomial(samples, chance_C_N) / samples
    n_tokens_N = token_counts(rng, n)
    # Factors of mean 1: a log-normal level tied to hardness, and a heavy-tailed part.
    level_N = np.exp(0.4 * hardness_N - 0.08)
    heavy_N = (degrees / 2 - 1) / rng.gamma(degrees / 2, 1.0, n)  # inverse gamma, mean 1
    own_C_N = np.exp(size * ou_noise(rng, checkpoints, n, keep) - size**2 / 2)
    nll_C_N = nll_C[:, None] * n_tokens_N * level_N * heavy_N * own_C_N
    return Simulated(steps_C, accuracy_C, nll_C, correct_C_N, nll_C_N, n_tokens_N)


def held_grokking(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """Accuracy moves in one to three jumps with slow ramps; NLL is piecewise linear with kinks."""
    t = np.linspace(0, 1, checkpoints)
    accuracy_C = np.full(checkpoints, rng.uniform(0.05, 0.6))
    for _ in range(rng.integers(1, 4)):
        accuracy_C += (
            rng.choice([1, 1, 1, -1])
            * rng.uniform(0.02, 0.3)
            * expit((t - rng.uniform(0, 1)) / rng.choice([0.002, 0.02]))
        )
    knots = np.sort(np.concatenate([[0, 1], rng.uniform(0, 1, 2)]))
    nll_C = np.interp(t, knots, rng.uniform(0.3, 0.5) + np.cumsum(rng.normal(0.03, 0.08, 4)))
    return gaussian_rows(rng, even_steps(checkpoints), possible(accuracy_C), np.maximum(nll_C, 0.05), n)


def held_random_walk(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """Ability and log NLL wander with heavy-tailed increments; rows follow item response theory."""
    scale = 1 / np.sqrt(checkpoints)
    ability_C = rng.normal(0, 1.0) + np.cumsum(
        rng.uniform(0.05, 0.5) * scale * rng.standard_t(4, checkpoints)
    )
    nll_C = rng.uniform(0.2, 0.6) * np.exp(
        np.cumsum(
            rng.uniform(0.03, 0.2) * scale * rng.standard_t(4, checkpoints)
            + rng.normal(0.1, 0.15) / checkpoints
        )
    )
    return logistic_rows(rng, even_steps(checkpoints), ability_C, nll_C, n, samples=1)


def held_collapse(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """A jittery plateau with rare spikes, sometimes a late collapse; uneven steps; 4 samples a problem."""
    steps_C = np.unique(
        np.round(50 * np.geomspace(1, 60, checkpoints) + 10 * np.arange(checkpoints)).astype(np.int64)
    )
    t = np.linspace(0, 1, checkpoints)
    ability_C = (
        rng.normal(0.5, 1.0)
        - 2 * rng.uniform(0, 1) * np.exp(-t / 0.1)
        + rng.normal(0, rng.uniform(0.01, 0.15), checkpoints)
    )
    spikes_C = rng.random(checkpoints) < 0.04
    fallen_C = (t > rng.uniform(0.6, 1.3)).astype(float)
    ability_C = (
        ability_C - 0.8 * spikes_C * rng.exponential(1.0, checkpoints) - rng.uniform(0.2, 1.5) * fallen_C
    )
    nll_C = rng.uniform(0.2, 0.6) * np.exp(
        0.4 * np.exp(-t / 0.15) + rng.uniform(0, 0.6) * t**2 + 0.2 * spikes_C + 0.3 * fallen_C
    )
    nll_C *= np.exp(rng.normal(0, rng.uniform(0.002, 0.03), checkpoints))
    return logistic_rows(rng, steps_C, ability_C, nll_C, n, samples=4)


HELD_OUT: dict[str, Generator] = {
    "grokking": held_grokking,
    "random-walk": held_random_walk,
    "collapse": held_collapse,
}


# ---------------------------------------------------------------- STRESS (a known weakness)


def stress_spiky(rng: Rng, n: int, checkpoints: int) -> Simulated:
    """Nearly flat curves from which single checkpoints fall far away."""
    t = np.linspace(0, 1, checkpoints)
    down_C = (rng.random(checkpoints) < rng.uniform(0, 0.12)) * rng.uniform(0.03, 0.3, checkpoints)
    up_C = (rng.random(checkpoints) < rng.uniform(0, 0.12)) * rng.uniform(0.03, 0.3, checkpoints)
    slope, jitter = rng.normal(0, 0.04), rng.uniform(0.001, 0.01)
    accuracy_C = rng.uniform(0.3, 0.9) + slope * t - down_C + rng.normal(0, jitter, checkpoints)
    log_nll_C = (
        np.log(rng.uniform(0.2, 0.7)) + rng.normal(0.1, 0.2) * t + up_C + rng.normal(0, jitter, checkpoints)
    )
    return gaussian_rows(rng, even_steps(checkpoints), possible(accuracy_C), np.exp(log_nll_C), n)


STRESS: dict[str, Generator] = {"spiky": stress_spiky}
