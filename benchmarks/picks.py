"""Which checkpoint to ship: the rule's against simpler picks, on problems that chose nothing.

Runs of one recipe over seeds, audited on `wordmath:val`, where every pick is made: the rule's, the lowest
perplexity, the highest accuracy, the last. `matched` is the checkpoint with an accuracy nearest to the last
one's among those whose perplexity is within 1.05 times the lowest: what over-memorization costs at the same
accuracy. Each is measured on every axis on `wordmath:test`. `table` prints the paired differences with 95% t
intervals over seeds: of the rule's pick from the others, and of the last from `matched`.

    OMP_NUM_THREADS=1 python -m benchmarks.picks run RUN... --out runs/picks
    python -m benchmarks.picks table --out runs/picks
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from benchmarks.bakeoff import HEADLINES, LIMITS, describe, measures_of

import overmem
from overmem.artifacts.files import write_text_atomic
from overmem.cli.progress import quiet_libraries

NEAR = 1.05
"""Times the lowest perplexity: far from the 1.10 that count as inflated."""
PROBLEMS = {**LIMITS, "likelihood": 1000, "accuracy": 1000}
TEST = "wordmath:test[:1000]"
PAIRS = (
    ("rule", "lowest perplexity"),
    ("rule", "highest accuracy"),
    ("rule", "last"),
    ("last", "matched"),
)


def picks_of(run):
    """The names of the checkpoints that each way of picking ships; the last one where the rule ships none."""
    verdict = overmem.diagnose(run)
    trained = [point for point in verdict.checkpoints if point.step]
    last = trained[-1]
    lowest = min(point.perplexity.value for point in trained)
    calm = [point for point in trained if point.perplexity.value <= NEAR * lowest]
    return {
        "rule": (verdict.recommended or last).name,
        "lowest perplexity": min(trained, key=lambda point: point.perplexity.value).name,
        "highest accuracy": max(trained, key=lambda point: point.accuracy.value).name,
        "last": last.name,
        "matched": min(calm, key=lambda point: abs(point.accuracy.value - last.accuracy.value)).name,
    }


def run_one(path, out):
    """Pick on val, measure on test; kept in one file a run."""
    picks = picks_of(path)
    run = overmem.open_run(path)
    chosen = tuple(item for item in run.checkpoints if item.name in picks.values())
    audit = overmem.audit(
        replace(run, checkpoints=chosen),
        val=TEST,
        axes="all",
        checkpoints="all",
        limits=PROBLEMS,
        out=out / f"{path.name}-audit",
    )
    measures = {item.name: measures_of(audit, item.name) for item in chosen}
    found = {"picks": picks, "measures": measures}
    write_text_atomic(out / f"{path.name}.json", json.dumps(found, indent=1))


def table(out):
    """The pairs, over the runs that were measured."""
    found = [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]
    for item in found:
        print("picks:", ", ".join(f"{way} {name}" for way, name in item["picks"].items()))
    names = " | ".join(name.replace("_", " ") for name in HEADLINES)
    print(f"\n| minus | runs | {names} |\n" + "| --- " * (2 + len(HEADLINES)) + "|")
    for one, other in PAIRS:
        pairs = [tuple(item["measures"][item["picks"][way]] for way in (one, other)) for item in found]
        said = [describe(pairs, name, is_reference=False) for name in HEADLINES]
        print(f"| {one} minus {other} | {len(pairs)} | " + " | ".join(said) + " |")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("do", choices=["run", "table"])
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/picks"))
    options = parser.parse_args()
    quiet_libraries()
    options.out.mkdir(parents=True, exist_ok=True)
    for path in options.runs:
        run_one(path, options.out)
        print(path, flush=True)
    if options.do == "table":
        table(options.out)


if __name__ == "__main__":
    main()
