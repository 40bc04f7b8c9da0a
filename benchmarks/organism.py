"""Does the organism show the phenomenon? Train, audit and judge a recipe over several seeds.

Each seed trains on its own 1,600 problems and is measured on the same 400 test problems. Prints one
Markdown row a seed; a run that exists is continued, so the command can be stopped and repeated.

    python -m benchmarks.organism organism-fast --seeds 0 1 2 3 4 --out runs/organism
"""

from __future__ import annotations

import argparse
from pathlib import Path

import overmem
from overmem.cli.progress import quiet_libraries
from overmem.training.trainer import train

HEAD = (
    "| recipe | seed | base acc | peak acc | last acc | lowest ppl (step) | last ppl | ratio "
    "| train / test NLL | last stage (confidence) | onset | recommended | stages |\n" + "| --- " * 13 + "|"
)

TEST = "wordmath:test[:400]"


def run_seed(name, seed, out, problems):
    recipe = overmem.load_recipe(
        name,
        {
            "seed": seed,
            "output": str(out / f"{name}-{seed}"),
            "data.train": f"wordmath:train[{seed * problems}:{(seed + 1) * problems}]",
            "data.val": TEST,
        },
    )
    path = train(recipe, resume=True)
    return overmem.diagnose(overmem.audit(path))


def describe(name, seed, verdict):
    points = verdict.checkpoints
    base, last = points[0], points[-1]
    peak = max(points, key=lambda c: c.accuracy.value)
    lowest = min(points, key=lambda c: c.nll_nats.value)
    codes = {"learning": "L", "fit": "F", "over-memorized": "M", "overfit": "O", "unstable": "U"}
    stages = "".join(codes[c.stage] if c.leaning is None else codes[c.leaning].lower() for c in points)
    return (
        f"| {name} | {seed} | {base.accuracy.value:.3f} | {peak.accuracy.value:.3f} ({peak.step}) "
        f"| {last.accuracy.value:.3f} | {lowest.perplexity.value:.3f} ({lowest.step}) "
        f"| {last.perplexity.value:.3f} | {last.perplexity.value / lowest.perplexity.value:.3f} "
        f"| {last.train_nll_nats.value:.3f} / {last.nll_nats.value:.3f} "
        f"= {last.train_nll_nats.value / last.nll_nats.value:.2f} "
        f"| {last.stage}{f' (leaning {last.leaning})' if last.leaning else ''} ({last.confidence:.2f}) "
        f"| {verdict.onset.step} | {verdict.recommended and verdict.recommended.step} | {stages} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--problems", type=int, default=1600)
    parser.add_argument("--out", type=Path, default=Path("runs/organism"))
    options = parser.parse_args()
    quiet_libraries()
    print(HEAD)
    for seed in options.seeds:
        verdict = run_seed(options.recipe, seed, options.out, options.problems)
        print(describe(options.recipe, seed, verdict), flush=True)


if __name__ == "__main__":
    main()
