"""What the contamination check finds of planted leaks, and what it flags where nothing was planted.

    python -m benchmarks.contamination --data ../shared/data --seeds 4 --out results.json

Four tasks (GSM8K, SVAMP, MATH-500, wordmath), four rules (copy, renumber, reword, translate), so many rows
of train a seed, rule and task put into val. GSM8K keeps its own split; of SVAMP and MATH-500 a random 30% is
val.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.planted_leaks import EXPECTED, RULES, plant

from overmem.contamination.kinds import find_overlap, read_sets
from overmem.records import Example
from overmem.tasks.sources import load_examples

Split = tuple[list[Example], list[Example]]


def task(name: str, data: Path, seed: int) -> Split:
    """Val and train of a task."""
    tasks: dict[str, Callable[[], Split]] = {
        "gsm8k": lambda: (_load(f"gsm8k:{data}/gsm8k/test.jsonl"), _load(f"gsm8k:{data}/gsm8k/train.jsonl")),
        "svamp": lambda: _halves(_load(f"svamp:{data}/svamp/SVAMP.json"), seed),
        "math500": lambda: _halves(_load(f"math500:{data}/math500/test.jsonl"), seed),
        "wordmath": lambda: (_load("wordmath:val"), _load("wordmath:train")),
    }
    return tasks[name]()


def _load(source: str) -> list[Example]:
    return list(load_examples(source).examples)


def _halves(examples: list[Example], seed: int) -> Split:
    random.Random(seed).shuffle(examples)
    cut = int(0.3 * len(examples))
    return examples[:cut], examples[cut:]


def measure(split: Split, each: int, seed: int) -> dict[str, object]:
    """Recall of each rule, and the kinds flagged of the clean problems."""
    val, train = split
    planted = plant(train, each, seed)
    start = time.perf_counter()
    tested = [*val, *(leak for _, leak, _ in planted)]
    answers = [[example.answer for example in examples] for examples in (tested, train)]
    found = {
        left: (kind, right)
        for left, right, kind in find_overlap(*read_sets([tested, train]), *answers).iter_rows()
    }
    seconds = time.perf_counter() - start
    hit, missed = Counter[str](), []
    for at, (rule, leak, original) in enumerate(planted, len(val)):
        kind = found.get(at, ("", -1))[0]
        if kind in EXPECTED[rule]:
            hit[rule] += 1
        else:
            missed.append((rule, kind, str(original.prompt), str(leak.prompt)))
    clean = Counter(found[i][0] for i in range(len(val)) if i in found)
    flagged = [
        (found[i][0], str(val[i].prompt), str(train[found[i][1]].prompt))
        for i in range(len(val))
        if i in found
    ]
    return {
        "val": len(val),
        "train": len(train),
        "each": each,
        "seconds": round(seconds, 2),
        "found": dict(hit),
        "flagged_clean": dict(clean),
        "missed": missed,
        "flagged": flagged,
    }


def main() -> None:
    """Run all tasks and seeds; print a table and write all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--each", type=int, default=21)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", default="gsm8k,svamp,math500,wordmath")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    results: dict[str, list[dict[str, object]]] = {}
    for seed in range(asked.seeds):
        for name in asked.tasks.split(","):
            found = measure(task(name, asked.data, seed), asked.each, seed)
            results.setdefault(name, []).append(found)
            print(seed, name, {k: v for k, v in found.items() if k not in ("missed", "flagged")}, flush=True)
            if asked.out:
                asked.out.write_text(json.dumps(results, indent=1))
    for name, runs in results.items():
        n = sum(run["each"] for run in runs)
        recall = {rule: sum(run["found"].get(rule, 0) for run in runs) / n for rule in RULES}
        clean = sum(run["val"] for run in runs)
        alarms = {
            k: sum(run["flagged_clean"].get(k, 0) for run in runs) / clean
            for k in ("copy", "reworded", "renumbered")
        }
        print(
            name,
            n,
            "a rule:",
            {k: f"{v:.1%}" for k, v in recall.items()},
            "alarms:",
            {k: f"{v:.2%}" for k, v in alarms.items()},
        )


if __name__ == "__main__":
    main()
