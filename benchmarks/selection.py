"""Which checkpoint is shipped: regret of the recommendation against simpler picks, where truth is known.

Regret is the true accuracy lost against the most accurate checkpoint that is truly not inflated; shipping an
inflated one has a column of its own. `bounded` is the rule until 2026-11: the highest measured accuracy of
those within 1.10 times the lowest perplexity, and the lowest NLL within one paired standard error of it;
`best within the bound` is its first half. `contradicted` counts picks whose most probable stage is worse than
that of a checkpoint measured more accurate.

Two ways know more than any user, with `--law`, as a bound. `knowing the law` knows how the generator draws
accuracies, and the true NLLs, so also which checkpoints are inflated; it picks what loses over 3 points
least often, given the measured accuracies. No choice loses less often, but where NLL tells of accuracy
(`collapse`).
`other laws` knows how the generators of the other names draw accuracies, and weighs them as the rule does.

`--compare` counts what comparing the recommended checkpoints of two equal recipes on the problems that chose
them gives: how far the measured difference of accuracy is off, and how often its 95% interval holds the
truth. Of a run with twice as many checkpoints, every second one is the one side; the other is the rest, or
its last checkpoint alone. `--replay` says what each way picks on runs that were audited.

    OMP_NUM_THREADS=1 python -m benchmarks.selection --each 20 --seed 2026
    OMP_NUM_THREADS=1 python -m benchmarks.selection --each 50 --problems 100 --law 20000
    OMP_NUM_THREADS=1 python -m benchmarks.selection --each 40 --compare
    OMP_NUM_THREADS=1 python -m benchmarks.selection --each 0 --replay RUN...

Shape suffixes: C checkpoints, S stages, M simulated curves.
"""

from __future__ import annotations

import argparse
import math
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from benchmarks.calibration.generators import HELD_OUT, STRESS, TUNING, even_steps, gaussian_rows

from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.rows import read_core
from overmem.rule import Rule
from overmem.stats.curves.posterior import draw_curves, fit_prior
from overmem.stats.intervals import accuracy_difference
from overmem.stats.moments import measure_curves
from overmem.stats.selection import BEST_FIRST, INFLATED_COSTS, choose, choose_checkpoint, eligible_mask
from overmem.stats.stage_rule import (
    OVER_MEMORIZED,
    OVERFIT,
    UNSTABLE,
    inflated_mask,
    stage_codes,
    stage_probabilities,
)
from overmem.verdict.diagnose import find_store

PROBLEMS, CHECKPOINTS = (100, 400, 1319), (4, 12)
RULE = Rule(resamples=1000)


def early_plateau(rng, n, checkpoints):
    """Accuracy is near its top early, and NLL is lowest soon after: most of what matters is plain to see.

    Made so that the best measured accuracy within the bound loses over 3 points in 4.3% of 800 runs of
    100 problems, and one standard error for a lower NLL in 8.4%, at a mean regret of 0.95 points: much as
    with the generators of an independent check, which we have not seen.
    """
    t = np.linspace(1 / checkpoints, 1, checkpoints)
    accuracy_C = rng.uniform(0.4, 0.9) - rng.uniform(0.2, 0.6) * np.exp(-t / rng.uniform(0.03, 0.12))
    accuracy_C += rng.normal(0, rng.uniform(0.001, 0.004), checkpoints)
    turn = rng.uniform(0.2, 0.5)
    fall_C = rng.uniform(0.1, 0.4) * np.maximum(1 - t / turn, 0) ** 2
    rise_C = rng.uniform(0.02, 0.25) * np.maximum(t - turn, 0) / (1 - turn)
    nll_C = rng.uniform(0.2, 0.6) * np.exp(fall_C) + rise_C
    return gaussian_rows(rng, even_steps(checkpoints), np.clip(accuracy_C, 0.02, 0.98), nll_C, n)


GROUPS = {
    "tuning": TUNING,
    "held out": HELD_OUT,
    "stress": STRESS,
    "plateau": {"early-plateau": early_plateau},
}


def best_within_bound(moments):
    """The highest measured accuracy of those within 1.10 times the lowest perplexity."""
    return int(np.where(_within_bound(moments), moments.accuracy_C, -np.inf).argmax())


def bounded(moments):
    """The rule until 2026-11."""
    accuracy_C, nll_C = moments.accuracy_C, moments.nll_C
    best = best_within_bound(moments)
    cov_C_C = moments.sample_cov_B_B[: nll_C.size, : nll_C.size]
    se_C = np.sqrt(np.maximum(np.diag(cov_C_C) + cov_C_C[best, best] - 2 * cov_C_C[best], 0))
    close_C = accuracy_C[best] - accuracy_C <= se_C + 1e-12
    return int(np.where(_within_bound(moments) & close_C, nll_C, np.inf).argmin())


def _within_bound(moments):
    return moments.nll_C - moments.nll_C.min() <= math.log(1.10) + 1e-12


def picks_of(moments, steps_C):
    """What each way of picking ships, and the stages (C, S)."""
    curves = draw_curves(fit_prior(moments, steps_C), moments, RULE.resamples, np.random.default_rng(0))
    probability_C_S = stage_probabilities(stage_codes(curves.accuracy_D_C, curves.nll_D_C, steps_C, RULE))
    picks = {
        "recommended": choose(curves, probability_C_S, RULE).pick,
        "bounded": bounded(moments),
        "best within the bound": best_within_bound(moments),
        "highest accuracy": int(moments.accuracy_C.argmax()),
        "lowest perplexity": int(moments.nll_C.argmin()),
        "last": steps_C.size - 1,
    }
    return picks, probability_C_S


def laws_of(name, checkpoints, curves):
    """True accuracies (M, C) as the generator of this name draws them, and as the others do; None for 0."""
    if not curves:
        return None
    names = [other for group in GROUPS.values() for other in group if other != name]
    own, *others = (drawn_law(one, checkpoints, curves) for one in (name, *names))
    return own, np.concatenate(others)


@lru_cache(maxsize=32)
def drawn_law(name, checkpoints, curves):
    """True accuracies (M, C) as one generator draws them; its rows, of two problems, are not looked at."""
    generate = next(group[name] for group in GROUPS.values() if name in group)
    rng = np.random.default_rng([7, zlib.crc32(name.encode()), checkpoints])
    return np.stack([generate(rng, 2, checkpoints).accuracy_C for _ in range(curves)])


def picks_by_laws(laws, run, moments, probability_C_S, inflated_C):
    """What one picks who knows the generator's law and the true NLLs, and one who knows other laws."""
    checkpoints = inflated_C.size
    a, b = slice(None, checkpoints), slice(checkpoints, None)
    cov_B_B = moments.noise_cov_B_B
    # The error of each NLL is then known, and tells of the errors of the accuracies.
    gain_C_C = np.linalg.solve(cov_B_B[b, b], cov_B_B[b, a]).T
    mean_C = moments.accuracy_C - gain_C_C @ np.log(moments.nll_C / run.nll_C)
    own_M_C, others_M_C = laws
    weight_M = weights_of(own_M_C, mean_C, cov_B_B[a, a] - gain_C_C @ cov_B_B[b, a])
    loss_M_C = own_M_C[:, ~inflated_C].max(axis=1, keepdims=True) - own_M_C
    lost_C = weight_M @ ((loss_M_C > RULE.accuracy_margin) + 1e-6 * loss_M_C)
    worth_C = weights_of(others_M_C, moments.accuracy_C, cov_B_B[a, a]) @ others_M_C
    worth_C -= (
        INFLATED_COSTS * RULE.accuracy_margin * probability_C_S[:, [OVER_MEMORIZED, OVERFIT]].sum(axis=1)
    )
    return {
        "knowing the law": int(np.where(inflated_C, np.inf, lost_C).argmin()),
        "other laws": int(np.where(eligible_mask(probability_C_S, RULE), worth_C, -np.inf).argmax()),
    }


def weights_of(curves_M_C, mean_C, cov_C_C):
    """Probability of each simulated curve given measured accuracies and the covariance of their errors."""
    distance_C_M = np.linalg.solve(np.linalg.cholesky(cov_C_C), (curves_M_C - mean_C).T)
    log_weight_M = -0.5 * (distance_C_M**2).sum(axis=0)
    weight_M = np.exp(log_weight_M - log_weight_M.max())
    return weight_M / weight_M.sum()


def contradicted(pick, moments, probability_C_S):
    """Whether a checkpoint that is measured more accurate has a better most probable stage."""
    rank_C = np.argsort(BEST_FIRST)[probability_C_S.argmax(axis=1)]
    return bool(((rank_C < rank_C[pick]) & (moments.accuracy_C > moments.accuracy_C[pick])).any())


def simulate(options):
    """One line a group of generators, number of problems and way of picking."""
    print("group problems way | regret points, share losing over 3, inflated, unstable, contradicted | runs")
    for group_name, group in GROUPS.items():
        for n in options.problems:
            found = {}
            for name, generate in group.items():
                for checkpoints in CHECKPOINTS:
                    rng = np.random.default_rng([options.seed, zlib.crc32(name.encode()), n, checkpoints])
                    laws = laws_of(name, checkpoints, options.law)
                    for _ in range(options.each):
                        run = generate(rng, n, checkpoints)
                        for way, row in judged(run, laws).items():
                            found.setdefault(way, []).append(row)
            for way, rows in found.items():
                regret, lost, inflated, unstable, against = np.mean(rows, axis=0)
                print(
                    f"{group_name:8s} {n:5d} {way:21s} | {100 * regret:5.2f} {lost:6.1%} {inflated:6.1%} "
                    f"{unstable:6.1%} {against:6.1%} | {len(rows)}",
                    flush=True,
                )


def judged(run, laws=None):
    """What each way of picking loses on one simulated run."""
    moments = measure_curves(run.correct_C_N, run.nll_nats_C_N, run.n_tokens_N)
    picks, probability_C_S = picks_of(moments, run.steps_C)
    inflated_C = inflated_mask(run.nll_C[None], run.steps_C, RULE.perplexity_ratio)[0]
    if laws is not None:
        picks |= picks_by_laws(laws, run, moments, probability_C_S, inflated_C)
    codes_C = stage_codes(run.accuracy_C[None], run.nll_C[None], run.steps_C, RULE)[0]
    best = run.accuracy_C[~inflated_C].max()
    return {
        way: (
            max(best - run.accuracy_C[pick], 0.0),
            best - run.accuracy_C[pick] > RULE.accuracy_margin,
            inflated_C[pick],
            codes_C[pick] == UNSTABLE,
            contradicted(pick, moments, probability_C_S),
        )
        for way, pick in picks.items()
    }


def compare_picks(options):
    """One line a number of problems: the error of comparing checkpoints where they were chosen."""
    print("problems | accuracy too high by, points | against | off by, points, interval holds, s.e. | runs")
    for n in options.problems:
        rows = []
        for group in (TUNING, HELD_OUT):
            for name, generate in group.items():
                rng = np.random.default_rng([options.seed, zlib.crc32(name.encode()), n])
                rows += [compared(generate(rng, n, 2 * max(CHECKPOINTS))) for _ in range(options.each)]
        for way in rows[0]:
            high, off, held = np.mean([row[way] for row in rows], axis=0)
            se = math.sqrt(held * (1 - held) / len(rows))
            print(
                f"{n:5d} | {100 * high:5.2f} | {way:20s} | {100 * off:5.2f} {held:6.1%} {se:5.1%} | "
                f"{len(rows)}",
                flush=True,
            )


def compared(run):
    """How far the accuracy of the one side and its difference from either other side are off."""
    moments = measure_curves(run.correct_C_N, run.nll_nats_C_N, run.n_tokens_N)
    left, right = (_chosen(run, slice(start, None, 2)) for start in (0, 1))
    last = run.steps_C.size - 1
    high = moments.accuracy_C[left] - run.accuracy_C[left]
    found = {}
    for way, other in (("another choice", right), ("its last checkpoint", last)):
        difference = accuracy_difference(moments, left, other)
        truth = run.accuracy_C[left] - run.accuracy_C[other]
        holds = difference.low <= truth <= difference.high
        found[way] = high, difference.value - truth, holds or not math.isfinite(difference.low)
    return found


def _chosen(run, some):
    """Position in the run of what is recommended of some of its checkpoints."""
    moments = measure_curves(run.correct_C_N[some], run.nll_nats_C_N[some], run.n_tokens_N)
    return int(np.arange(run.steps_C.size)[some][choose_checkpoint(moments, run.steps_C[some], RULE).pick])


def replay(path):
    """What each way picks on an audited run."""
    store = find_store(path)
    manifest = read_manifest(store)
    core = read_core(store, manifest)
    moments = measure_curves(core.correct_C_N, core.nll_nats_C_N, core.n_tokens_N)
    steps_C = np.array([checkpoint.step for checkpoint in manifest.checkpoints])
    picks, probability_C_S = picks_of(moments, steps_C)
    said = ", ".join(
        f"{way}: {steps_C[c]} ({moments.accuracy_C[c]:.1%}, {math.exp(moments.nll_C[c]):.3f})"
        for way, c in picks.items()
    )
    print(f"{path}: {said}; contradicted {contradicted(picks['recommended'], moments, probability_C_S)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--each", type=int, default=20, help="runs of each generator, size and length")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--replay", type=Path, nargs="*", default=[])
    parser.add_argument("--problems", type=int, nargs="+", default=PROBLEMS)
    parser.add_argument("--law", type=int, default=0, help="curves drawn from each generator for the bound")
    parser.add_argument("--compare", action="store_true", help="what choosing on the same problems costs")
    arguments = parser.parse_args()
    if arguments.each:
        (compare_picks if arguments.compare else simulate)(arguments)
    for path in arguments.replay:
        replay(path)


if __name__ == "__main__":
    main()
