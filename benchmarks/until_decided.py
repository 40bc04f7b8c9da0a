"""Does `audit --until-decided` keep its promise, and what does it save? On simulated and on audited runs.

Simulated runs come from the calibration generators, so that the truth is known too. On each the looks
are taken as an audit takes them, and what is said at the stop is compared with what the same rule says on
all the problems. A run counts as changed when all the problems would take back its own stage, or hold
another stage most probable at a checkpoint that was given one. Audited runs are only read.

    OMP_NUM_THREADS=1 python -m benchmarks.until_decided --each 12 --seed 2026
    OMP_NUM_THREADS=1 python -m benchmarks.until_decided --seed 0 --orders 5 --replay runs/organism/organism-*

Shape suffixes: C checkpoints, N problems.
"""

from __future__ import annotations

import argparse
import time
import zlib
from pathlib import Path

import numpy as np
from benchmarks.calibration.generators import HELD_OUT, TUNING

from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.rows import read_core, subset
from overmem.records import STAGES
from overmem.rule import Rule
from overmem.stats import stage_rule as rules
from overmem.stats.moments import measure_curves
from overmem.stats.selection import choose_checkpoint
from overmem.verdict.diagnose import find_store
from overmem.verdict.judge import judge
from overmem.verdict.sequential import MOST_CHANCE, look_at, look_sizes

PROBLEMS = (200, 400, 1319)
CHECKPOINTS = (4, 12)
RULE = Rule()


def stop(steps_C, correct_C_N, nll_C_N, tokens_N, first):
    """The look at which the audit stops; `first(n)` are positions of the first n problems."""
    for n in look_sizes(tokens_N.size):
        at = first(n)
        rows = correct_C_N[:, at], nll_C_N[:, at], tokens_N[at]
        look = look_at(steps_C, *rows, n_all=tokens_N.size, rule=RULE)
        if look.decided:
            break
    return look


def compare(steps_C, correct_C_N, nll_C_N, tokens_N, first, truth_C=None):
    """One run: what was said early against what all the problems say."""
    look = stop(steps_C, correct_C_N, nll_C_N, tokens_N, first)
    full = judge(steps_C, correct_C_N, nll_C_N, tokens_N)
    said = [summary.stage for summary in full.checkpoints]
    probable = [summary.leaning or summary.stage for summary in full.checkpoints]
    given = [c for c, stage in enumerate(look.stages) if stage != "undetermined"]
    early = look.n < tokens_N.size
    moments = measure_curves(*(array[..., first(look.n)] for array in (correct_C_N, nll_C_N, tokens_N)))
    pick = choose_checkpoint(moments, steps_C, RULE).pick
    record = {
        "n": look.n,
        "saved": 1 - look.n / tokens_N.size,
        "early": early,
        "last": (look.stages[-1], said[-1]),
        "last_changed": early and look.stages[-1] != said[-1],
        "changed": early
        and (look.stages[-1] != said[-1] or any(look.stages[c] != probable[c] for c in given)),
        "given": len(given) if early else 0,
        "other": sum(look.stages[c] != probable[c] for c in given) if early else 0,
        "withheld": sum(said[c] == "undetermined" for c in given) if early else 0,
        "left": sum(said[c] != "undetermined" for c in range(len(said)) if c not in given) if early else 0,
        "given_on_all": sum(stage != "undetermined" for stage in said),
        "stages": len(said) if early else 0,
        "same_pick": full.recommended is not None and full.recommended.step == steps_C[pick],
    }
    if truth_C is not None:
        true = [STAGES[code] for code in truth_C]
        record["untrue"] = sum(look.stages[c] != true[c] for c in given) if early else 0
        record["untrue_on_all"] = sum(s not in ("undetermined", t) for s, t in zip(said, true, strict=True))
    return record


def wilson(hits, n):
    """Share and its 95% interval, as text."""
    if n == 0:
        return "-"
    z, share = 1.96, hits / n
    centre, spread = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (centre - spread) / (1 + z**2 / n), (centre + spread) / (1 + z**2 / n)
    return f"{hits}/{n} = {share:.3f} ({max(low, 0):.3f} to {high:.3f})"


def row(name, found):
    """One Markdown row."""
    stopped = [record for record in found if record["early"]]
    total = {key: sum(record[key] for record in stopped) for key in ("given", "other", "withheld", "left")}
    return (
        f"| {name} | {len(found)} | {len(stopped)} "
        f"| {wilson(sum(r['changed'] for r in stopped), len(stopped))} "
        f"| {wilson(sum(r['last_changed'] for r in stopped), len(stopped))} "
        f"| {wilson(total['other'], total['given'])} | {wilson(total['withheld'], total['given'])} "
        f"| {np.median([r['saved'] for r in found]):.2f} | {np.mean([r['saved'] for r in found]):.2f} |"
    )


HEAD = (
    "| runs | number | stopped early | changed, of those stopped | own stage changed | given stages: another "
    "on all | given stages: withheld on all | median saved | mean saved |\n" + "| --- " * 9 + "|"
)


def simulate(each, seed):
    """All cells: generators by number of problems by number of checkpoints."""
    found = []
    for name, generator in {**TUNING, **HELD_OUT}.items():
        for n in PROBLEMS:
            for checkpoints in CHECKPOINTS:
                for k in range(each):
                    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), n, checkpoints, k])
                    run = generator(rng, n, checkpoints)
                    truth = rules.stage_codes(
                        run.accuracy_C[None],
                        run.nll_C[None],
                        run.steps_C,
                        Rule(accuracy_margin=0.03, perplexity_ratio=1.10),
                    )
                    rows = run.steps_C, run.correct_C_N, run.nll_nats_C_N, run.n_tokens_N
                    record = compare(*rows, np.arange, truth[0])
                    found.append({"generator": name, "N": n, "C": checkpoints, **record})
        print(f"{name}: done", flush=True)
    return found


def tell(found):
    """Tables and sentences of the simulated runs."""
    print(HEAD)
    for key in ("generator", "N", "C"):
        for value in dict.fromkeys(record[key] for record in found):
            name = value if key == "generator" else f"{key} = {value}"
            print(row(name, [record for record in found if record[key] == value]))
    held = [record for record in found if record["generator"] in HELD_OUT]
    print(row("held-out", held))
    print(row("all", found))
    stopped = [record for record in found if record["early"]]
    every, given = sum(r["changed"] for r in stopped), sum(r["given"] for r in stopped)
    print(f"\npromise: changed at most {MOST_CHANCE:.2f}; of all runs: {wilson(every, len(found))}")
    print(f"saved where stopped: median {np.median([r['saved'] for r in stopped]):.2f}")
    print(f"given early and not the true stage: {wilson(sum(r['untrue'] for r in stopped), given)}")
    of_all = sum(r["given_on_all"] for r in found)
    print(f"given on all problems and not true: {wilson(sum(r['untrue_on_all'] for r in found), of_all)}")
    total = sum(r["stages"] for r in stopped)
    print(f"undetermined early, given on all: {wilson(sum(r['left'] for r in stopped), total)} of stages")
    print(f"same checkpoint recommended: {wilson(sum(r['same_pick'] for r in stopped), len(stopped))}")


def replay(folders, seed, orders):
    """Audited runs: the looks that audits with these seeds would have taken."""
    found = []
    print("| run | order | stopped after | own stage early | own stage on all | changed | saved |")
    print("| --- " * 7 + "|")
    for order in range(seed, seed + orders):
        for folder in folders:
            store = find_store(folder)
            manifest = read_manifest(store)
            core = read_core(store, manifest)
            record = compare(
                np.array([checkpoint.step for checkpoint in manifest.checkpoints]),
                core.correct_C_N,
                core.nll_nats_C_N,
                core.n_tokens_N,
                lambda n, ids=core.ids, order=order: subset(ids, n, order),
            )
            found.append({"order": order, **record})
            print(
                f"| {folder.name} | {order} | {record['n']} of {len(core.ids)} | {record['last'][0]} "
                f"| {record['last'][1]} | {'yes' if record['changed'] else 'no'} | {record['saved']:.2f} |",
                flush=True,
            )
    print(f"\n{HEAD}")
    for order in range(seed, seed + orders):
        print(row(f"order {order}", [record for record in found if record["order"] == order]))
    print(row("all orders", found))


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--each", type=int, default=12, help="runs of a generator, size and length")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--replay", type=Path, nargs="+", help="audited run folders, in place of simulation")
    parser.add_argument("--orders", type=int, default=1, help="seeds of the order, from --seed on")
    options = parser.parse_args()
    started = time.perf_counter()
    if options.replay:
        replay(options.replay, options.seed, options.orders)
    else:
        tell(simulate(options.each, options.seed))
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
