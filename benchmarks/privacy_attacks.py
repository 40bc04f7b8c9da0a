"""What each attack reads at every checkpoint of the organism, beside the worst attack's headline; over seeds.

Each seed trains on its own 200 problems for 8 epochs and is measured on the same 200 of val. Prints one
Markdown row a seed and checkpoint; a run that exists is continued, so it can be stopped and repeated.

    OMP_NUM_THREADS=1 python -m benchmarks.privacy_attacks --seeds 0 1 2 3 4 --out runs/privacy
"""

from __future__ import annotations

import argparse
from pathlib import Path

import overmem
from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.axes.privacy.figures import measures, privacy_figure
from overmem.cli.progress import quiet_libraries
from overmem.training.trainer import train

ATTACKS = ("loss", "zlib", "min_k", "min_k_plus_plus", "early", "base")


def measure_run(seed, out, problems, epochs):
    """Train and audit one seed."""
    recipe = overmem.load_recipe(
        "demo",
        {
            "seed": seed,
            "output": str(out / f"seed-{seed}"),
            "data": {
                "train": f"wordmath:train[{seed * problems}:{(seed + 1) * problems}]",
                "val": f"wordmath:val[:{problems}]",
            },
            "monitor": False,
            "training.learning_rate": 8e-4,
            "training.num_train_epochs": epochs,
        },
    )
    path = train(recipe, resume=True)
    return overmem.audit(path, axes="likelihood,accuracy,privacy", checkpoints="all", limits={"accuracy": 20})


def print_rows(seed, done):
    """One row a checkpoint."""
    places = [MeasuredCheckpoint(done.store, done.manifest, item.name) for item in done.manifest.checkpoints]
    for place, evidence in zip(places, align_evidence(places), strict=True):
        found = {measure.name: measure.value() for measure in measures(evidence)}
        figure = privacy_figure(evidence, place.name)
        auroc, recall, alarms = figure.auroc, figure.recall, figure.false_alarms
        said = "-" if alarms is None else f"{recall.value:.3f} ({recall.low:.3f} to {recall.high:.3f})"
        each = " | ".join(f"{found.get(f'auroc_{name}', float('nan')):.3f}" for name in ATTACKS)
        print(
            f"| {seed} | {place.record.step} | {auroc.value:.3f} ({auroc.low:.3f} to {auroc.high:.3f}) "
            f"| {said} | {', '.join(figure.auroc_attacks)} | {each} |",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("runs/privacy"))
    options = parser.parse_args()
    quiet_libraries()
    print(f"| seed | step | auroc (95%) | recall at 1% | attack | {' | '.join(ATTACKS)} |")
    print("| --- " * (5 + len(ATTACKS)) + "|")
    for seed in options.seeds:
        print_rows(seed, measure_run(seed, options.out, options.problems, options.epochs))


if __name__ == "__main__":
    main()
