"""Does the monitor find the onset that the full audit finds? Post hoc, on runs that were audited.

The saved checkpoints (but the untrained one, which the monitor never sees) are measured with the monitor's
own code on its default subset of the audit's val, one after another as in training. The monitor's onset is
the first reading beyond the confidence threshold; the audit's is that of `overmem diagnose` on all its
problems. The runs are only read. Prints one Markdown row a run.

    OMP_NUM_THREADS=1 python -m benchmarks.monitor_onset runs/organism/organism-fast-{0,1,2,3,4}
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from overmem.artifacts.manifest import read_manifest
from overmem.auditing.options import saved_options
from overmem.checkpoints import open_run
from overmem.cli.progress import quiet_libraries
from overmem.models.loading import ModelHost
from overmem.models.preserving_state import preserving_state
from overmem.monitor.problem_set import choose_problems, measure, prepare_problem_set
from overmem.rule import Rule
from overmem.verdict.audited.judged import judge_store
from overmem.verdict.diagnose import find_store
from overmem.verdict.live import read_points

HEAD = (
    "| run | audit's onset (interval) | on | monitor's onset | on | answers | within one checkpoint? "
    "| monitor's ratio (probability) by step |\n" + "| --- " * 8 + "|"
)


def watch(run, saved, limit, answers):
    """The monitor's readings, had it been there."""
    host = ModelHost(run, device=torch.device("cpu"), dtype=torch.float32)
    problems = choose_problems(
        saved.val, saved.train, limit=limit, answers=answers, grader=saved.grader, seed=0
    )
    panel, points, readings = None, [], []
    for checkpoint in run.checkpoints:
        if checkpoint.step == 0:
            continue
        model = host.load(checkpoint)
        panel = panel or prepare_problem_set(problems, host.tokenizer(), saved.template, model)
        with preserving_state(model):
            point, _ = measure(panel, model, checkpoint.step, checkpoint.epoch, lambda _: None)
            points.append(point)
        readings.append(read_points(points, panel.n_tokens, Rule()))
    return readings


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--answers", type=int, default=0)
    options = parser.parse_args()
    quiet_libraries()
    print(HEAD)
    for path in options.runs:
        store, run = find_store(path), open_run(path)
        manifest = read_manifest(store)
        full = judge_store(store, Rule())
        readings = watch(run, saved_options(manifest), options.limit, options.answers)
        steps = [reading.step for reading in readings]
        onset = next((reading.step for reading in readings if reading.onset), None)
        both = [None if step is None else steps.index(step) for step in (onset, full.onset.step)]
        near = both[0] == both[1] or (None not in both and abs(both[0] - both[1]) <= 1)
        told = ", ".join(
            f"{r.step}: {r.perplexity_ratio.value:.3f} ({r.probability_inflated:.2f})"
            for r in readings
            if r.probability_inflated > 0.01
        )
        print(
            f"| {path.name} | {full.onset.step} ({full.onset.low} to {full.onset.high}) "
            f"| {manifest.val.n} | {onset} | {options.limit} | {options.answers} "
            f"| {'yes' if near else 'no'} | {told} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
