"""The confound: what the rule says of a calm fine-tune by val's own references, and by another hand's.

Each seed trains on 800 problems of its own for five epochs at a small rate and is audited once; the other
hand's references (`wordmath:val_other_hand`) are of the same problems and are never trained on. The rule then
judges the same answers twice. Seeds are judged one by one and as one run. A run that exists is continued.

    python -m benchmarks.other_hand --seeds 0 1 2 3 4
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import overmem
from overmem.cli.progress import quiet_libraries
from overmem.training.trainer import train

PROBLEMS = 800
HANDS = {"val": "val", "other": "references/other"}


def run_seed(seed, out, limit):
    """An audited run."""
    recipe = overmem.load_recipe(
        "organism-fast",
        {
            "seed": seed,
            "output": str(out / f"calm-{seed}"),
            "data.train": f"wordmath:train[{seed * PROBLEMS}:{(seed + 1) * PROBLEMS}]",
            "training.learning_rate": 2e-4,
            "training.num_train_epochs": 5,
            "monitor": False,
            "save_base": False,
        },
    )
    return overmem.audit(
        train(recipe, resume=True),
        axes=("likelihood", "accuracy", "references"),
        references={"other": "wordmath:val_other_hand"},
        limit=limit,
        checkpoints="all",
    )


def measured(audit):
    """Steps, correctness of each problem, and NLL and tokens of its references by hand: arrays of C and N."""
    records = audit.manifest.checkpoints
    correct, scores = [], {hand: [] for hand in HANDS}
    for record in records:
        written = audit.store.read_rows(record.name, "generations").filter(split="val").sort("example_id")
        correct.append(written["correct"].to_numpy())
        likelihood = audit.store.read_rows(record.name, "likelihood")
        for hand, split in HANDS.items():
            scored = likelihood.filter(split=split).sort("example_id")
            assert scored["example_id"].to_list() == written["example_id"].to_list()
            scores[hand].append(scored.select("nll_nats", "n_tokens").to_numpy())
    return [record.step for record in records], np.array(correct, float), scores


def said(steps, correct, scores):
    """The rule's word on the last checkpoint; arrays may have a leading axis of seeds."""
    nll, tokens = scores[..., 0], scores[..., 1]
    last = overmem.judge(steps, correct, nll, tokens.reshape(-1, tokens.shape[-1])[0]).checkpoints[-1]
    leaning = f", leaning {last.leaning}" if last.leaning else ""
    ratios = np.exp(nll.sum(-1) / tokens.sum(-1))
    ratio = (ratios[..., -1] / ratios.min(-1)).mean()
    return f"{last.stage}{leaning} ({last.confidence:.2f}), {ratio:.3f}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path("runs/other-hand"))
    options = parser.parse_args()
    quiet_libraries()
    print("| seed | accuracy, last | by val's references: stage, ppl last / lowest | by the other hand's |")
    print("| --- " * 4 + "|")
    seeds = []
    for seed in options.seeds:
        steps, correct, scores = measured(run_seed(seed, options.out, options.limit))
        seeds.append((correct, scores))
        verdicts = " | ".join(said(steps, correct, np.array(scores[hand])) for hand in HANDS)
        print(f"| {seed} | {correct[-1].mean():.3f} | {verdicts} |", flush=True)
    together = np.stack([correct for correct, _ in seeds])
    verdicts = " | ".join(
        said(steps, together, np.stack([scores[hand] for _, scores in seeds])) for hand in HANDS
    )
    print(f"| as one run | {together[:, -1].mean():.3f} | {verdicts} |")


if __name__ == "__main__":
    main()
