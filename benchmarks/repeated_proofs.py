"""Measure how often a merge that helps in nothing is accepted after several tries on one confirm half.

Each try is a merge as good as the checkpoint to beat: 2% of the answers are lost and as many won, and NLL,
pass@k, robustness and OOD move by noise around 0. Tries on the same problems share these, and differ in the
merge. Counted: runs in which one of the first 1, 3 and 10 tries was accepted, with every try taken for the
first (as before tries were counted), and with the tries counted.

    OMP_NUM_THREADS=1 python -m benchmarks.repeated_proofs --runs 200 --seed 26

Shape suffixes: N problems.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from overmem.repairing.proof import prove
from overmem.stats.measures import mean_measure
from overmem.verdict.costs import Measured

TRIES = (1, 3, 10)
PROBLEMS = 200
FLIPS = 0.02
"""Share of answers that flip from right to wrong in a try, and as many the other way."""
AXES = (
    ("likelihood", "nll", "lower"),
    ("diversity", "pass_at_8", "higher"),
    ("robustness", "accuracy_drop", "lower"),
    ("ood", "accuracy", "higher"),
)


def measured(right_N: np.ndarray, others: dict[str, np.ndarray]) -> Measured:
    """Measures of one model."""
    found = {"accuracy": {"accuracy": mean_measure("accuracy", "higher", "val", right_N)}}
    for axis, name, direction in AXES:
        found[axis] = {name: mean_measure(name, direction, "val", others[axis])}
    return found


def a_try(rng: np.random.Generator, right_N: np.ndarray, others: dict[str, np.ndarray]) -> Measured:
    """A merge that is as good as the checkpoint to beat, problem by problem another."""
    flips_N = rng.random(PROBLEMS)
    lost_N = (flips_N < FLIPS / right_N.mean()) & (right_N == 1)
    won_N = (flips_N < FLIPS / (1 - right_N.mean())) & (right_N == 0)
    moved = {axis: value_N + rng.normal(0, 0.1, PROBLEMS) for axis, value_N in others.items()}
    return measured(np.where(lost_N, 0.0, np.where(won_N, 1.0, right_N)), moved)


def first_accepted(rng: np.random.Generator, counted: bool, most: int) -> float:
    """The number of the first try of a run that is accepted; infinite where none is."""
    right_N = (rng.random(PROBLEMS) < 0.7).astype(float)
    others = {axis: rng.normal(0.5, 0.2, PROBLEMS) for axis, _, _ in AXES}
    before = measured(right_N, others)
    for number in range(1, most + 1):
        after = a_try(rng, right_N, others)
        if prove(before, after, against="c", accuracy_margin=0.03, number=number if counted else 1).accepted:
            return number
    return math.inf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--tries", type=int, default=max(TRIES), help="most of a run")
    parser.add_argument("--seed", type=int, default=26)
    arguments = parser.parse_args()
    print(f"n = {PROBLEMS}, {arguments.runs} runs: accepted by chance after so many tries (standard error)")
    for counted in (False, True):
        found = np.array(
            [
                first_accepted(np.random.default_rng([arguments.seed, i]), counted, arguments.tries)
                for i in range(arguments.runs)
            ]
        )
        shares = [(k, float((found <= k).mean())) for k in TRIES if k <= arguments.tries]
        said = [f"{k}: {p:.3f} ({math.sqrt(p * (1 - p) / arguments.runs):.3f})" for k, p in shares]
        print(f"{'tries counted' if counted else 'each as the first'}: {', '.join(said)}", flush=True)


if __name__ == "__main__":
    main()
