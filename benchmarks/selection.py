"""Which checkpoint is shipped: regret of the recommendation against simpler picks, where truth is known.

Regret is the true accuracy lost against the most accurate checkpoint that is truly not inflated; shipping an
inflated one has a column of its own. `bounded` is the rule until 2026-11: the highest measured accuracy of
those within 1.10 times the lowest perplexity, and the lowest NLL within one paired standard error of it.
`contradicted` counts picks whose most probable stage is worse than that of a checkpoint measured more
accurate. `--replay` says what each way picks on runs that were audited.

    OMP_NUM_THREADS=1 python -m benchmarks.selection --each 20 --seed 2026
    OMP_NUM_THREADS=1 python -m benchmarks.selection --each 0 --replay RUN...

Shape suffixes: C checkpoints, S stages.
"""

from __future__ import annotations

import argparse
import math
import zlib
from pathlib import Path

import numpy as np
from benchmarks.calibration.generators import HELD_OUT, STRESS, TUNING

from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.rows import read_core
from overmem.rule import Rule
from overmem.stats.curves.posterior import draw_curves, fit_prior
from overmem.stats.moments import measure_curves
from overmem.stats.selection import BEST_FIRST, choose
from overmem.stats.stage_rule import UNSTABLE, inflated_mask, stage_codes, stage_shares
from overmem.verdict.diagnose import find_store

PROBLEMS, CHECKPOINTS = (100, 400, 1319), (4, 12)
RULE = Rule(resamples=1000)


def bounded(moments):
    """The rule until 2026-11."""
    accuracy_C, nll_C = moments.accuracy_C, moments.nll_C
    allowed_C = nll_C - nll_C.min() <= math.log(1.10) + 1e-12
    best = int(np.where(allowed_C, accuracy_C, -np.inf).argmax())
    cov_C_C = moments.sample_cov_B_B[: nll_C.size, : nll_C.size]
    se_C = np.sqrt(np.maximum(np.diag(cov_C_C) + cov_C_C[best, best] - 2 * cov_C_C[best], 0))
    close_C = accuracy_C[best] - accuracy_C <= se_C + 1e-12
    return int(np.where(allowed_C & close_C, nll_C, np.inf).argmin())


def picks_of(moments, steps_C):
    """What each way of picking ships, and the stages (C, S)."""
    curves = draw_curves(fit_prior(moments, steps_C), moments, RULE.resamples, np.random.default_rng(0))
    shares_C_S = stage_shares(stage_codes(curves.accuracy_D_C, curves.nll_D_C, steps_C, RULE))
    picks = {
        "recommended": choose(curves, shares_C_S, RULE).pick,
        "bounded": bounded(moments),
        "highest accuracy": int(moments.accuracy_C.argmax()),
        "lowest perplexity": int(moments.nll_C.argmin()),
        "last": steps_C.size - 1,
    }
    return picks, shares_C_S


def contradicted(pick, moments, shares_C_S):
    """Whether a checkpoint that is measured more accurate has a better most probable stage."""
    rank_C = np.argsort(BEST_FIRST)[shares_C_S.argmax(axis=1)]
    return bool(((rank_C < rank_C[pick]) & (moments.accuracy_C > moments.accuracy_C[pick])).any())


def simulate(each, seed):
    """One line a group of generators, number of problems and way of picking."""
    print("group problems way | regret points, share losing over 3, inflated, unstable, contradicted | runs")
    for group_name, group in (("tuning", TUNING), ("held out", HELD_OUT), ("stress", STRESS)):
        for n in PROBLEMS:
            found = {}
            for name, generate in group.items():
                for checkpoints in CHECKPOINTS:
                    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), n, checkpoints])
                    for _ in range(each):
                        run = generate(rng, n, checkpoints)
                        for way, row in judged(run).items():
                            found.setdefault(way, []).append(row)
            for way, rows in found.items():
                regret, lost, inflated, unstable, against = np.mean(rows, axis=0)
                print(
                    f"{group_name:8s} {n:5d} {way:17s} | {100 * regret:5.2f} {lost:6.1%} {inflated:6.1%} "
                    f"{unstable:6.1%} {against:6.1%} | {len(rows)}",
                    flush=True,
                )


def judged(run):
    """What each way of picking loses on one simulated run."""
    moments = measure_curves(run.correct_C_N, run.nll_nats_C_N, run.n_tokens_N)
    picks, shares_C_S = picks_of(moments, run.steps_C)
    inflated_C = inflated_mask(run.nll_C[None], run.steps_C, RULE.perplexity_ratio)[0]
    codes_C = stage_codes(run.accuracy_C[None], run.nll_C[None], run.steps_C, RULE)[0]
    best = run.accuracy_C[~inflated_C].max()
    return {
        way: (
            max(best - run.accuracy_C[pick], 0.0),
            best - run.accuracy_C[pick] > RULE.accuracy_margin,
            inflated_C[pick],
            codes_C[pick] == UNSTABLE,
            contradicted(pick, moments, shares_C_S),
        )
        for way, pick in picks.items()
    }


def replay(path):
    """What each way picks on an audited run."""
    store = find_store(path)
    manifest = read_manifest(store)
    core = read_core(store, manifest)
    moments = measure_curves(core.correct_C_N, core.nll_nats_C_N, core.n_tokens_N)
    steps_C = np.array([checkpoint.step for checkpoint in manifest.checkpoints])
    picks, shares_C_S = picks_of(moments, steps_C)
    said = ", ".join(
        f"{way}: {steps_C[c]} ({moments.accuracy_C[c]:.1%}, {math.exp(moments.nll_C[c]):.3f})"
        for way, c in picks.items()
    )
    print(f"{path}: {said}; contradicted {contradicted(picks['recommended'], moments, shares_C_S)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--each", type=int, default=20, help="runs of each generator, size and length")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--replay", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    if arguments.each:
        simulate(arguments.each, arguments.seed)
    for path in arguments.replay:
        replay(path)


if __name__ == "__main__":
    main()
