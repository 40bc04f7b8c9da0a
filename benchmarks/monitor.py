"""What the monitor costs: the same run with it and without, as a share of training time.

Both trainers get the same recipe, model and data; runs alternate between them in one process. Two figures:
the median ratio of processor (and wall) times over the rounds, which holds everything the monitor does, and
the monitor's own clock over the rest of the run's wall time, which has less noise: `max_cost` bounds it.

    OMP_NUM_THREADS=1 python -m benchmarks.monitor [--recipe organism-fast] [--epochs 11] [--rounds 2]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings

from transformers import PrinterCallback

import overmem
from overmem.cli.progress import quiet_libraries
from overmem.recipe.reading import check_recipe
from overmem.training.loading import load_model
from overmem.training.reweighted import ReweightedSFTTrainer
from overmem.training.settings import lora_config, sft_config
from overmem.training.trainer import monitor_of, tokenized

HEAD = (
    "| recipe | examples an epoch | epochs | val + train measured | answers | measured at | run (CPU s) "
    "| CPU ratio (range) | wall ratio (range) | own clock, share (range) |\n" + "| --- " * 10 + "|"
)


def build(recipe, watched):
    model, tokenizer = load_model(recipe.model)
    monitor = monitor_of(recipe, recipe.data.val, None) if watched else None
    trainer = ReweightedSFTTrainer(
        model=model, args=sft_config(recipe), processing_class=tokenizer, loss=recipe.loss,
        train_dataset=tokenized(recipe.data.train, tokenizer, recipe, None),
        peft_config=lora_config(recipe), callbacks=[monitor] if monitor else None,
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer, monitor


def round_of(trainer):
    wall, cpu = time.perf_counter(), time.process_time()
    trainer.train()
    return time.perf_counter() - wall, time.process_time() - cpu


def spread(values, digits=3):
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipe", default="organism-fast")
    parser.add_argument("--train", help="another source than the recipe's")
    parser.add_argument("--val", help="another source than the recipe's")
    parser.add_argument("--examples", type=int, help="training examples of an epoch, if not the recipe's")
    parser.add_argument("--epochs", type=int, help="epochs of a run, if not the recipe's")
    parser.add_argument("--max-cost", type=float, default=0.05, help="of the monitor; 0 for no bound")
    parser.add_argument("--answers", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    quiet_libraries()
    warnings.simplefilter("ignore")
    written = overmem.load_recipe(options.recipe).model_dump()
    written["data"] |= {"train": options.train} if options.train else {}
    if options.examples:
        written["data"]["train"] = f"{written['data']['train'].partition('[')[0]}[:{options.examples}]"
    written["data"] |= {"val": options.val} if options.val else {}
    written["monitor"] |= {"answers": options.answers, "max_cost": options.max_cost or None}
    written["training"] |= {"save_strategy": "steps", "save_steps": 10**6, "save_only_model": True}
    written["training"] |= {"num_train_epochs": options.epochs} if options.epochs else {}
    with tempfile.TemporaryDirectory() as folder:
        recipe = check_recipe(written | {"output": folder}, options.recipe)
        pair = {watched: build(recipe, watched) for watched in (False, True)}
        monitor, times, shares = pair[True][1], {False: [], True: []}, []
        for number in range(options.rounds):
            for watched in list(pair) if number % 2 else reversed(list(pair)):
                took = round_of(pair[watched][0])
                times[watched].append(took)
                if watched:
                    spent = monitor.time_budget.seconds
                    shares.append(spent / (took[0] - spent))
                    steps = [reading.step for reading in monitor.readings]
                    print(f"measured at steps {steps}, {monitor.time_budget.skipped} skipped", flush=True)
    assert monitor.off is None
    walls, cpus = (
        [on[i] / off[i] for on, off in zip(times[True], times[False], strict=True)] for i in (0, 1)
    )
    sizes = f"{len(monitor._problem_set.val)} + {len(monitor._problem_set.train)}"
    due, examples = len(steps) + monitor.time_budget.skipped, len(pair[True][0].train_dataset)
    print(HEAD)
    print(
        f"| {options.recipe} | {examples} | {recipe.training['num_train_epochs']} | {sizes} "
        f"| {options.answers} | {len(steps)} of {due} points "
        f"| {statistics.median(cpu for _, cpu in times[False]):.2f} | {spread(cpus)} | {spread(walls)} "
        f"| {spread(shares)} |"
    )


if __name__ == "__main__":
    main()
