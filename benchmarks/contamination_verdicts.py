"""Does a verdict survive a leak? Simulated runs with leaked val problems, judged clean, leaked and cleaned.

A run comes from the calibration generators; its NLL rows are the clean problems. Leaked ones are as hard, and
from the lowest point on their NLL falls as that of 400 training problems does. Of the leaked, so many are
found by their text as benchmarks/contamination.py found of each rule; the rows are asked for the rest.

    OMP_NUM_THREADS=1 python -m benchmarks.contamination_verdicts --runs 200 --share 0.15 --out results.json

Shape suffixes: C checkpoints, N problems.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from benchmarks.calibration.generators import HELD_OUT, TUNING

from overmem.contamination.followers import find_followers, nll_change
from overmem.verdict.clean_val import CERTAIN
from overmem.verdict.judge import judge

FOUND = {"copy": 1.0, "reworded": 0.9, "translated": 0.43}
"""Share of the leaked that the text gives away, by kind; a third of the leaked are of each."""
PROBLEMS, CHECKPOINTS, TRAIN = 400, 12, 400


def seen_rows(rng, run, n):
    """NLL (C, n) of problems that were trained on: as the run's until the lowest point, then ever lower."""
    lowest = int(run.nll_C.argmin())
    from_N = rng.integers(0, run.n_tokens_N.size, n)
    tokens_N, rows_C_N = run.n_tokens_N[from_N], run.nll_nats_C_N[:, from_N].copy()
    after_C = np.maximum(0, np.arange(run.nll_C.size) - lowest)
    rate_N = np.exp(rng.normal(np.log(rng.uniform(0.15, 0.4)), 0.3, n))
    fall_C_N = np.exp(-after_C[:, None] * rate_N + rng.normal(0, 0.1, (after_C.size, n)))
    level_C_N = np.where(after_C[:, None] > 0, rows_C_N[lowest] * fall_C_N, rows_C_N)
    return level_C_N, tokens_N


def one_run(rng, generator, share):
    """Verdicts on the clean problems, on all, and on what is left; and how many leaked are left."""
    run = generator(rng, PROBLEMS, CHECKPOINTS)
    n_leaked = round(share * PROBLEMS / (1 - share))
    nll_C_L, tokens_L = seen_rows(rng, run, n_leaked)
    nll_C_M, tokens_M = seen_rows(rng, run, TRAIN)
    after_C = np.arange(run.nll_C.size) > int(run.nll_C.argmin())
    solved_L = rng.random(n_leaked) < run.accuracy_C.mean()
    correct_C_L = np.where(after_C[:, None], 1.0, solved_L[None, :].astype(float))
    kinds_L = rng.choice(list(FOUND), n_leaked)
    by_text_L = rng.random(n_leaked) < np.array([FOUND[kind] for kind in kinds_L])
    nll_C_N = np.hstack([run.nll_nats_C_N, nll_C_L[:, ~by_text_L]])
    correct_C_N = np.hstack([run.correct_C_N, correct_C_L[:, ~by_text_L]])
    tokens_N = np.r_[run.n_tokens_N, tokens_L[~by_text_L]]
    heard_N = follow(nll_C_N, tokens_N, nll_C_M, tokens_M)
    left_N = ~heard_N
    clean = judge(run.steps_C, run.correct_C_N, run.nll_nats_C_N, run.n_tokens_N)
    leaked = judge(
        run.steps_C,
        np.hstack([run.correct_C_N, correct_C_L]),
        np.hstack([run.nll_nats_C_N, nll_C_L]),
        np.r_[run.n_tokens_N, tokens_L],
    )
    cleaned = judge(run.steps_C, correct_C_N[:, left_N], nll_C_N[:, left_N], tokens_N[left_N])
    return {
        "clean": told(clean),
        "leaked": told(leaked),
        "cleaned": told(cleaned),
        "planted": n_leaked,
        "by_text": int(by_text_L.sum()),
        "by_rows": int(heard_N[PROBLEMS:].sum()),
        "clean_lost": int(heard_N[:PROBLEMS].sum()),
        "clean_run_lost": int(follow(run.nll_nats_C_N, run.n_tokens_N, nll_C_M, tokens_M).sum()),
    }


def follow(nll_C_N, tokens_N, nll_C_M, tokens_M):
    """Val problems that the rows give away for certain; none where they cannot tell."""
    lowest = int(nll_C_N.sum(axis=1).argmin())
    nothing = np.zeros(tokens_N.size, dtype=bool)
    if lowest == len(nll_C_N) - 1:
        return nothing
    found = find_followers(
        nll_change(nll_C_N[lowest] / tokens_N, nll_C_N[-1] / tokens_N),
        nll_change(nll_C_M[lowest] / tokens_M, nll_C_M[-1] / tokens_M),
    )
    return nothing if found is None else found.probability_N >= CERTAIN


def told(verdict):
    """What a verdict says of the run: its stage, the most probable one, and what to ship."""
    last = verdict.checkpoints[-1]
    shipped = verdict.recommended.name if verdict.recommended else None
    return {"stage": verdict.stage, "likely": last.leaning or last.stage, "ship": shipped}


def main():
    """Run all; print the shares of equal verdicts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--share", type=float, default=0.15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    generators = list({**TUNING, **HELD_OUT}.items())
    rows = []
    for number in range(asked.runs):
        name, generator = generators[number % len(generators)]
        rows.append(
            {
                "generator": name,
                **one_run(np.random.default_rng((asked.seed, number)), generator, asked.share),
            }
        )
        if asked.out and (number % 10 == 9 or number == asked.runs - 1):
            asked.out.write_text(json.dumps(rows, indent=1))
    for against in ("leaked", "cleaned"):
        same = np.mean([row["clean"]["stage"] == row[against]["stage"] for row in rows])
        likely = np.mean([row["clean"]["likely"] == row[against]["likely"] for row in rows])
        given = [r for r in rows if "undetermined" not in (r["clean"]["stage"], r[against]["stage"])]
        agree = np.mean([r["clean"]["stage"] == r[against]["stage"] for r in given])
        shares = f"same stage {same:.1%}, likeliest {likely:.1%}"
        print(f"{against}: {shares}; of {len(given)} given by both {agree:.1%}")
    totals = {
        k: sum(r[k] for r in rows) for k in ("planted", "by_text", "by_rows", "clean_lost", "clean_run_lost")
    }
    print(totals)


if __name__ == "__main__":
    main()
