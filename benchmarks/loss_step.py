"""One optimizer step under a reweighted loss against TRL's own NLL step: time and peak memory.

Both trainers get the same model, data and batches. Rounds alternate between them in one process; a round's
figure is the median of its steps, and the median ratio over rounds is what counts. Where cores are shared,
the processor time (with OMP_NUM_THREADS=1) is the steadier of the two clocks. Peak memory is the resident
set of a fresh process for each trainer. Prints Markdown rows.

    OMP_NUM_THREADS=1 python -m benchmarks.loss_step [--model NAME] [--loss mar] [--rounds 120] [--steps 4]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import torch
from transformers import PrinterCallback, TrainerCallback
from trl import SFTTrainer

import overmem
from overmem.cli.progress import quiet_libraries
from overmem.training.loading import load_model
from overmem.training.settings import sft_config
from overmem.training.trainer import tokenized

HEAD = (
    "| model | loss | rows | TRL nll step (s) | step (s) | wall ratio (range) | CPU ratio (range) "
    "| TRL peak (MB) | peak (MB) | peak ratio |\n" + "| --- " * 10 + "|"
)


class Clock(TrainerCallback):
    """Wall and processor seconds of each optimizer step."""

    def __init__(self):
        self.wall, self.cpu = [], []

    def on_step_begin(self, args, state, control, **kwargs):
        """Start both clocks."""
        self.began = time.perf_counter(), time.process_time()

    def on_step_end(self, args, state, control, **kwargs):
        """Stop both clocks, the accelerator's work included."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.wall.append(time.perf_counter() - self.began[0])
        self.cpu.append(time.process_time() - self.began[1])


def build(loss, options, folder):
    overrides = {"output": folder, "model.name": options.model}
    if options.model != "organism":
        overrides["model.attn_implementation"] = None
    recipe = overmem.load_recipe("organism-fast", overrides)
    recipe.training.update(
        per_device_train_batch_size=options.rows,
        max_steps=options.steps,
        save_strategy="steps",
        save_steps=10**6,
    )
    model, tokenizer = load_model(recipe.model)
    data = tokenized(f"wordmath:train[:{options.rows * options.steps}]", tokenizer, recipe, None)
    kind, own = (SFTTrainer, {}) if loss == "trl" else (overmem.ReweightedSFTTrainer, {"loss": loss})
    clock = Clock()
    trainer = kind(
        model=model, args=sft_config(recipe), train_dataset=data, processing_class=tokenizer,
        callbacks=[clock], **own,
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer, clock


def round_of(trainer, clock):
    clock.wall.clear()
    clock.cpu.clear()
    trainer.train()
    # The first step also allocates.
    return statistics.median(clock.wall[1:]), statistics.median(clock.cpu[1:])


def peak_mb(loss, options):
    """Peak resident set of a fresh process that trains for one round."""
    command = [sys.executable, __file__, "--peak-of", loss]
    for name in ("model", "rows", "steps"):
        command += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024


def spread(values):
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="organism", help="organism, a folder or a hub id")
    parser.add_argument("--loss", default="mar")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4, help="optimizer steps a round")
    parser.add_argument("--rounds", type=int, default=120)
    parser.add_argument("--memory-rounds", type=int, default=3)
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    quiet_libraries()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        if options.peak_of:
            build(options.peak_of, options, folder)[0].train()
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            return
        pair = {loss: build(loss, options, folder) for loss in ("trl", options.loss)}
        walls, cpus = {loss: [] for loss in pair}, {loss: [] for loss in pair}
        for number in range(options.rounds + 1):
            for loss in list(pair) if number % 2 else reversed(list(pair)):
                wall, cpu = round_of(*pair[loss])
                if number:  # round 0 warms up
                    walls[loss].append(wall)
                    cpus[loss].append(cpu)
    ratios = [
        [ours / theirs for ours, theirs in zip(times[options.loss], times["trl"], strict=True)]
        for times in (walls, cpus)
    ]
    peaks = {loss: [] for loss in pair}
    for _ in range(options.memory_rounds):
        for loss in pair:
            peaks[loss].append(peak_mb(loss, options))
    theirs, ours = (statistics.median(peaks[loss]) for loss in pair)
    print(HEAD)
    print(
        f"| {options.model} | {options.loss} | {options.rows} | {statistics.median(walls['trl']):.4f} "
        f"| {statistics.median(walls[options.loss]):.4f} | {spread(ratios[0])} | {spread(ratios[1])} "
        f"| {theirs:.0f} | {ours:.0f} | {ours / theirs:.3f} |"
    )


if __name__ == "__main__":
    main()
