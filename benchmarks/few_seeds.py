"""How often are two recipes of equal truth called different, over 2, 3, 4 and 8 seeds each?

Each seed has its own shift, each problem its own difficulty, shared by the seeds, and noise of both. Before,
seeds were drawn with replacement, then problems. Now is Student's factor for the seeds beside the bootstrap
over problems; fewer than four seeds are not told apart at all, whatever their interval says.

    python -m benchmarks.few_seeds --runs 400
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from overmem.records import FEWEST_SEEDS
from overmem.stats.measures import Measure, mean_measure
from overmem.stats.paired import bootstrap, difference

DRAWS = 400
PROBLEMS = 100
SPREADS = {"none": 0.0, "as the problems'": 1.0, "three times it": 3.0}
"""Spread of the seeds, in standard errors of the problems."""


def recipe(seeds: int, spread: float, rng: np.random.Generator) -> list[Measure]:
    """The difference of each seed, whose truth is 0."""
    shared_N = rng.normal(0, 1, PROBLEMS)
    seed_S = spread * rng.normal(0, 1, seeds) / math.sqrt(PROBLEMS)
    rows_S_N = shared_N + seed_S[:, None] + rng.normal(0, 0.5, (seeds, PROBLEMS))
    return [mean_measure("m", "higher", "val", row_N) for row_N in rows_S_N]


def main() -> None:
    """Simulate and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| spread of seeds | seeds | called different before | interval excludes 0 now | said now |")
    print("| --- " * 5 + "|")
    zero = mean_measure("m", "higher", "val", np.zeros(PROBLEMS))
    for name, spread in SPREADS.items():
        for seeds in (2, 3, 4, 8):
            rng, before, now = np.random.default_rng([options.seed, seeds]), 0, 0
            for number in range(options.runs):
                left = recipe(seeds, spread, rng)
                low, high = np.percentile(bootstrap(left, DRAWS, number), [2.5, 97.5])
                before += low > 0 or high < 0
                found = difference(left, [zero] * seeds, draws=DRAWS, seed=number).estimate
                now += found.low > 0 or found.high < 0
            said = f"{now / options.runs:.3f}" if seeds >= FEWEST_SEEDS else "too few seeds"
            print(f"| {name} | {seeds} | {before / options.runs:.3f} | {now / options.runs:.3f} | {said} |")


if __name__ == "__main__":
    main()
