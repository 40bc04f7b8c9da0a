"""Measure what dependent problems do to a verdict, with and without their groups.

Problems come in groups of k: wordings of one template, whose difficulty and errors are shared to a degree
rho (the correlation of their latent scores; 0 for rows that share a template and nothing else). Every run is
judged as if its problems stood alone, and in their groups. Printed for each cell: of the stages given, the
share that is wrong beside the share stated; how many are given; how often the 95% intervals of accuracy and
NLL cover the truth. Standard errors are over runs.

    OMP_NUM_THREADS=1 python -m benchmarks.calibration.dependent --runs 40 --seed 26

Shape suffixes: C checkpoints, N problems, R runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.calibration.generators import TUNING, Simulated
from benchmarks.calibration.run import DRAWS, THRESHOLD, judge_curves

from overmem.stats.curves.posterior import draw_curves, fit_prior
from overmem.stats.groups import Groups
from overmem.stats.intervals import accuracy_estimate, nll_estimate
from overmem.stats.moments import measure_curves
from overmem.stats.stage_rule import TEMPERATURE
from overmem.verdict.judge import MIN_PROBLEMS

FloatArray = npt.NDArray[np.float64]
CELLS = (
    (400, 1, 0.0),
    (400, 10, 0.0),
    (400, 4, 0.8),
    (400, 10, 0.8),
    (1320, 10, 0.8),
    (400, 10, 0.2),
    (400, 4, 1.0),
)
"""Problems, size of a group, correlation within it."""
CHECKPOINTS = 12
COLUMNS = ("wrong", "stated", "given", "accuracy covered", "NLL covered", "width")


class GroupedNormals:
    """A source of randomness whose normals for problems are correlated within groups of k, by rho."""

    def __init__(self, rng: np.random.Generator, n: int, k: int, rho: float) -> None:
        """Wrap a generator; whatever is no array of problems is drawn as it would be."""
        self._rng, self._n, self._k, self._rho = rng, n, k, rho

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rng, name)

    def standard_normal(self, size: Any = None) -> Any:
        """Normals of this shape; those whose last axis is the problems are correlated."""
        shape = size if isinstance(size, tuple) else (size,)
        own = self._rng.standard_normal(size)
        if shape[-1] != self._n:
            return own
        shared = self._rng.standard_normal((*shape[:-1], self._n // self._k)).repeat(self._k, axis=-1)
        return np.sqrt(self._rho) * shared + np.sqrt(1 - self._rho) * own


def simulate(
    make: Callable[..., Simulated], rng: np.random.Generator, n: int, k: int, rho: float
) -> Simulated:
    """One run of a generator whose problems are in groups of k."""
    return make(GroupedNormals(rng, n, k, rho), n, CHECKPOINTS)


def judge_once(run: Simulated, groups: Groups | None, seed: int) -> FloatArray:
    """Of one run: stages wrong and given, their stated error, intervals that cover, their mean width."""
    moments = measure_curves(run.correct_C_N, run.nll_nats_C_N, run.n_tokens_N, groups)
    curves = draw_curves(fit_prior(moments, run.steps_C), moments, DRAWS, np.random.default_rng(seed))
    judged = judge_curves(curves, run, TEMPERATURE)
    given_C = (judged["confidence"] >= THRESHOLD) & (moments.units >= MIN_PROBLEMS)
    accuracy = [accuracy_estimate(moments, c) for c in range(CHECKPOINTS)]
    nll = [nll_estimate(moments, c) for c in range(CHECKPOINTS)]
    return np.array(
        [
            (given_C * (1 - judged["right"])).sum(),
            (given_C * (1 - judged["confidence"])).sum(),
            given_C.sum(),
            sum(e.low <= a <= e.high for e, a in zip(accuracy, run.accuracy_C, strict=True)),
            sum(e.low <= p <= e.high for e, p in zip(nll, run.nll_C, strict=True)),
            np.mean([e.high - e.low for e in accuracy]),
        ]
    )


def summarise(found_R: FloatArray) -> str:
    """Shares over runs with their standard errors; the first two are of the stages given."""
    over_R = np.column_stack([found_R[:, 2], found_R[:, 2], *[np.full(len(found_R), CHECKPOINTS)] * 3])
    shares, errors = [], []
    for column in range(5):
        total = max(over_R[:, column].sum(), 1)
        share = found_R[:, column].sum() / total
        left_R = found_R[:, column] - share * over_R[:, column]
        shares.append(share)
        errors.append(np.sqrt((left_R**2).sum() * len(left_R) / max(len(left_R) - 1, 1)) / total)
    cells = [f"{share:.3f} ({error:.3f})" for share, error in zip(shares, errors, strict=True)]
    return " | ".join([*cells, f"{found_R[:, 5].mean():.3f}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=40, help="of each cell")
    parser.add_argument("--seed", type=int, default=26)
    arguments = parser.parse_args()
    print(f"| n | k | rho | errors of | {' | '.join(COLUMNS)} |")
    print(f"| {' | '.join(['---'] * (4 + len(COLUMNS)))} |", flush=True)
    for place, (n, k, rho) in enumerate(CELLS):
        groups = Groups.of((np.arange(n) // k).tolist())
        found: dict[str, list[FloatArray]] = {"problems": [], "groups": []}
        for i in range(arguments.runs):
            make = list(TUNING.values())[i % len(TUNING)]
            run = simulate(make, np.random.default_rng([arguments.seed, place, i]), n, k, rho)
            found["problems"].append(judge_once(run, None, i))
            if k > 1:
                found["groups"].append(judge_once(run, groups, i))
        for of, rows in found.items():
            if rows:
                print(f"| {n} | {k} | {rho:g} | {of} | {summarise(np.array(rows))} |", flush=True)


if __name__ == "__main__":
    main()
