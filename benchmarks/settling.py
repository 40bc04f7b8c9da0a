"""Is a stage given at the number of problems that a verdict quotes? On simulated runs with problems to spare.

Each run is judged on its first n problems. One checkpoint whose stage is undetermined is chosen, and the run
is judged again on as many of its problems as were quoted for it: for an even chance, and for one of 0.8.

    OMP_NUM_THREADS=1 python -m benchmarks.settling --runs 14 --seed 2026

Shape suffixes: C checkpoints, N problems.
"""

from __future__ import annotations

import argparse
import zlib

import numpy as np
from benchmarks.calibration.generators import HELD_OUT, TUNING, Simulated

from overmem import judge
from overmem.records import Verdict
from overmem.stats.curves.settling import AN_EVEN_CHANCE, LIKELY, MULTIPLES

GENERATORS = {**TUNING, **HELD_OUT}
NAMES = ("saturating", "peaked", "smooth", "grokking", "random-walk")
PROBLEMS = (100, 400)
CHECKPOINTS = 8
MOST = round(MULTIPLES[-1])
"""Times the problems judged first."""


def judge_first(run: Simulated, n: int) -> Verdict:
    """The verdict on the first n problems."""
    return judge(run.steps_C, run.correct_C_N[:, :n], run.nll_nats_C_N[:, :n], run.n_tokens_N[:n])


def ask(run: Simulated, n: int, rng: np.random.Generator) -> dict[float, float] | None:
    """Whether the stage of one undetermined checkpoint is given at what is quoted, by the chance promised.

    NaN where no number is quoted; None where every stage is given at once.
    """
    verdict = judge_first(run, n)
    open_C = [c for c, summary in enumerate(verdict.checkpoints) if summary.stage == "undetermined"]
    if not open_C:
        return None
    c = int(rng.choice(open_C))
    summary = verdict.checkpoints[c]
    quoted = {AN_EVEN_CHANCE: summary.problems_to_settle, LIKELY: summary.problems_to_settle_likely}
    return {
        chance: np.nan if number is None else judge_first(run, number).checkpoints[c].stage != "undetermined"
        for chance, number in quoted.items()
    }


def main() -> None:
    """Simulate, and print the share given at each number quoted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=14, help="of each generator and number of problems")
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    found: list[dict[float, float]] = []
    for name in NAMES:
        for n in PROBLEMS:
            for k in range(options.runs):
                rng = np.random.default_rng([options.seed, zlib.crc32(name.encode()), n, k])
                asked = ask(GENERATORS[name](rng, MOST * n, CHECKPOINTS), n, rng)
                found += [] if asked is None else [asked]
    print(f"{len(found)} undetermined checkpoints")
    print("chance promised | numbers quoted | given there | standard error")
    for chance in (AN_EVEN_CHANCE, LIKELY):
        given = np.array([asked[chance] for asked in found if not np.isnan(asked[chance])], dtype=float)
        share = given.mean() if given.size else np.nan
        error = np.sqrt(share * (1 - share) / given.size) if given.size else np.nan
        print(f"{chance:.1f} | {given.size} | {share:.3f} | {error:.3f}")


if __name__ == "__main__":
    main()
