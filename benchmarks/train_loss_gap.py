"""How near does a log of training losses alone come to the gap between unseen text and training text?

Fine-tunes the bundled tiny model with settings drawn at random (task, rows, epochs, batch, learning rate and
its schedule, weight decay, LoRA or full, how often is logged; from the pretrained model, or from one that has
seen the task before) and measures the NLL of held-out rows and of the training rows in evaluation mode: their
difference is the known gap. Only log and gaps are kept, a JSON file a run; what exists is left as it is. The
runs of `tune` and `tune-long` chose the constants of `overmem.stats.unseen_gap`, those of `judge` and
`judge-long` judge them. What the product says is counted apart: figures, intervals, upper ends alone; from
the training loss alone, and with one evaluation at the end in the log. Beside them stands how near the middle
of the interval comes, which is why it is no figure to tell.

    OMP_NUM_THREADS=1 python -m benchmarks.train_loss_gap run --set tune --runs 21 --out runs/gap
    OMP_NUM_THREADS=1 python -m benchmarks.train_loss_gap run --set judge --runs 30 --out runs/gap
    python -m benchmarks.train_loss_gap table --out runs/gap
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
from pathlib import Path
from statistics import mean, median

import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import get_scheduler

from overmem.cli.progress import quiet_libraries
from overmem.logs.history import LoggedHistory
from overmem.logs.judged import judge_history
from overmem.logs.train_loss.rows import train_rows
from overmem.recipe.schema import ModelRecipe
from overmem.records.logged import TrainLossGap
from overmem.rendering.render import render_all
from overmem.rendering.template import Template
from overmem.stats.staircase import fit_staircase
from overmem.stats.unseen_gap import next_step
from overmem.tasks.sources import load_examples
from overmem.training.loading import has_bf16, load_model

TASKS = {"wordmath": 54, "facts": 102, "knights": 122, "pocketcode": 160}
"""Tokens of a row, about."""
SCORED = 96
"""Rows of val, and of train at most, that are scored."""
LESSON = 256
"""Rows, none of a run's, that the model which has seen the task before was trained on."""
FIRST_OF_LESSON = {"wordmath": 5800, "facts": 5800, "knights": 5800, "pocketcode": 3500}
"""Rows of train before it are a run's; the lesson begins 200 rows after it."""
MASKED = -100
HEAD = (
    "| run | task | method | learning rate | rows | epochs | known gap | training loss alone | inside "
    "| with one evaluation | inside |\n" + "| --- " * 11 + "|"
)
ALL = (7, 1, 1, 1)
"""How often each task is drawn; the longer runs are of the first, whose rows are short."""
SETS = {
    "tune": {
        "rows": (40, 48, 64, 96, 128),
        "rate": (4e-4, 1.6e-3),
        "batch": (4, 8, 8),
        "tasks": ALL,
        "tokens": 20_000,
    },
    "judge": {
        "rows": (36, 56, 72, 108, 144),
        "rate": (3e-4, 2e-3),
        "batch": (4, 6, 8),
        "tasks": ALL,
        "tokens": 12_000,
    },
    "tune-long": {
        "rows": (200, 256),
        "rate": (2e-4, 7e-4),
        "batch": (8,),
        "tasks": (1, 0, 0, 0),
        "tokens": 50_000,
    },
    "judge-long": {
        "rows": (220, 300),
        "rate": (1.5e-4, 8e-4),
        "batch": (6, 8),
        "tasks": (1, 0, 0, 0),
        "tokens": 50_000,
    },
}
"""Ranges that each set draws from; `tokens` are trained on at most."""


def draw_settings(name, number):
    """The settings of one run of a set, the same on every machine."""
    rng, ranges = random.Random(f"train_loss_gap/{name}/{number}"), SETS[name]
    task = rng.choices(list(TASKS), ranges["tasks"])[0]
    rows = rng.choice([n for n in ranges["rows"] if 2 * n * TASKS[task] <= ranges["tokens"]])
    most = min(12, ranges["tokens"] // (rows * TASKS[task]))
    epochs = 1 if rng.random() < 0.05 else max(rng.randint(2, most), rng.randint(2, most))
    lora, batch = rng.random() < 0.25, rng.choice(ranges["batch"])
    low, high = map(math.log, ranges["rate"])
    return {
        "task": task,
        "start": rng.randrange(0, 5000) % FIRST_OF_LESSON[task],
        "rows": rows,
        "epochs": epochs,
        "batch": batch,
        "rate": math.exp(rng.uniform(low, high)) * (4 if lora else 1),
        "scheduler": rng.choice(("linear", "cosine", "constant_with_warmup")),
        "warmup": rng.choice((0, 0, 0.05, 0.1)),
        "weight_decay": rng.choice((0.0, 0.0, 0.1)),
        "lora_rank": rng.choice((8, 16, 32)) if lora else None,
        "logging_steps": rng.choice([n for n in (1, 2, 5, 10) if n == 1 or 6 * n * batch <= rows]),
        "seen_before": rng.random() < 0.5,
        "seed": 1000 * (1 + list(SETS).index(name)) + number,
    }


def read_rows(source, tokenizer):
    """Token ids and labels of each row, as the recipe's trainer has them."""
    rendered = render_all(load_examples(source).examples, tokenizer, Template())
    return [
        (list(item.input_ids), [MASKED] * len(item.prompt_ids) + list(item.completion_ids))
        for item in rendered
    ]


def losses(model, rows, pad):
    """NLL of every scored token of some rows, in nats."""
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in rows])
    labels = torch.tensor([labels + [MASKED] * (longest - len(labels)) for _, labels in rows])
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16(use_cpu=True)):
        logits = model(input_ids=ids).logits[:, :-1].float()
    kept = labels[:, 1:] != MASKED
    return cross_entropy(logits[kept], labels[:, 1:][kept], reduction="none")


def score(model, rows, pad):
    """Mean NLL of a set's tokens in evaluation mode, in nats."""
    model.eval()
    rows = sorted(rows[:SCORED], key=lambda row: len(row[0]))
    with torch.no_grad():
        nll = torch.cat([losses(model, rows[i : i + 32], pad) for i in range(0, len(rows), 32)])
    model.train()
    return nll.mean().item()


def fine_tune(settings, name):
    """Train one run as the HF Trainer does: (the model, tokenizer, rows of its log, gaps measured)."""
    torch.manual_seed(settings["seed"])
    model, tokenizer = load_model(ModelRecipe(name=str(name), attn_implementation="eager"))
    start, n, batch, epochs = (settings[key] for key in ("start", "rows", "batch", "epochs"))
    rows = read_rows(f"{settings['task']}:train[{start}:{start + n}]", tokenizer)
    held_out = read_rows(f"{settings['task']}:val[:{SCORED}]", tokenizer)
    if settings["lora_rank"]:
        rank = settings["lora_rank"]
        lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(model, lora)
    trained = [p for p in model.parameters() if p.requires_grad]
    decay = settings["weight_decay"]
    optimizer = torch.optim.AdamW(trained, lr=settings["rate"], weight_decay=decay, fused=True)
    an_epoch = math.ceil(n / batch)
    steps = an_epoch * epochs
    schedule = get_scheduler(settings["scheduler"], optimizer, round(settings["warmup"] * steps), steps)
    model.train()
    log, measured, waiting, step = [], [], [], 0
    for epoch in range(epochs):
        order = torch.randperm(n).tolist()
        for i in range(0, n, batch):
            loss = losses(model, [rows[j] for j in order[i : i + batch]], tokenizer.pad_token_id).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            rate = schedule.get_last_lr()[0]
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            waiting.append(loss.item())
            if step % settings["logging_steps"] == 0:
                loss = round(sum(waiting) / len(waiting), 4)
                log.append({"step": step, "epoch": step / an_epoch, "loss": loss, "learning_rate": rate})
                waiting = []
        if epoch + 1 == epochs or (epoch + 1 == epochs // 2 and settings["task"] == "wordmath"):
            val, train = (score(model, some, tokenizer.pad_token_id) for some in (held_out, rows))
            measured.append({"step": step, "epoch": epoch + 1, "val": val, "train": train})
    return model, tokenizer, log, measured


def taught(task, out):
    """A model that has seen other rows of the task, made once."""
    folder = out / f"seen-{task}"
    if not (folder / "tokenizer.json").is_file():
        settings = {
            "task": task,
            "start": FIRST_OF_LESSON[task] + 200,
            "rows": LESSON,
            "epochs": 1,
            "batch": 16,
            "rate": 8e-4,
            "seed": 0,
        }
        settings |= {
            "scheduler": "linear",
            "warmup": 0,
            "weight_decay": 0,
            "lora_rank": None,
            "logging_steps": 10,
        }
        model, tokenizer, *_ = fine_tune(settings, "organism")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def run_one(name, number, out):
    """Train one run of a set and keep its log and its gaps, unless it is there."""
    path = out / f"{name}-{number:02d}.json"
    if path.is_file():
        return json.loads(path.read_text())
    settings = draw_settings(name, number)
    model = taught(settings["task"], out) if settings["seen_before"] else "organism"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    *_, log, measured = fine_tune(settings, model)
    seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    record = {"settings": settings, "cpu_s": round(seconds, 1), "rows": log, "measured": measured}
    path.write_text(json.dumps(record))
    return record


def run(options):
    """Train the runs of a set and print a line each."""
    quiet_libraries()
    options.out.mkdir(parents=True, exist_ok=True)
    for number in range(options.first, options.first + options.runs):
        record = run_one(options.set, number, options.out)
        last = record["measured"][-1]
        print(
            f"{options.set} {number}: {record['cpu_s']:.0f} CPU s, gap {last['val'] - last['train']:.3f} "
            f"({last['val']:.3f} - {last['train']:.3f}) {record['settings']}",
            flush=True,
        )


def read_log(rows, step, evaluation=None):
    """What the product says of the gap in a log up to a step: by its training rows, and one evaluation."""
    seen = [row for row in rows if row["step"] <= step]
    if evaluation is not None:
        seen.append({"step": step, "epoch": seen[-1]["epoch"], "eval_loss": evaluation})
    log = LoggedHistory(rows=tuple(seen), source="benchmark", kind="trainer_state")
    gap = judge_history(log, "benchmark").train_loss_gap
    return gap if gap is not None else TrainLossGap(reason="no row came back")


def judge(record):
    """Known gap and what is said of it, at every point that was measured."""
    found = []
    for point in record["measured"]:
        said, known = read_log(record["rows"], point["step"]), point["val"] - point["train"]
        beside = read_log(record["rows"], point["step"], point["val"])
        last = point is record["measured"][-1]
        found.append({"epoch": point["epoch"], "known": known, "said": said, "beside": beside, "last": last})
    return found


def halves(record):
    """Of the last point: (known gap, one half known, the other known, error of the fit); None without a fit.

    The first estimate knows the loss on unseen text and reads the training loss from the log, the second
    knows the loss on the training rows and reads the unseen one from the trend: which half is hard to tell?
    """
    last = record["measured"][-1]
    history = LoggedHistory(rows=tuple(record["rows"]), source="benchmark", kind="trainer_state")
    rows = train_rows(history)
    stairs = fit_staircase(rows.in_epochs(), rows.epochs)
    if stairs is None:
        return None
    seen_again = 0.5 * stairs.last_share * next_step(stairs)
    with_unseen = last["val"] - (stairs.level - seen_again)
    return last["val"] - last["train"], with_unseen, stairs.unseen_now - last["train"], stairs.se


def say_halves(name, found):
    """How often each half alone would leave the gap within 20%, and how often its noise allows that."""
    n = len(found)
    unseen = sum(abs(estimate / gap - 1) <= 0.2 for gap, estimate, _, _ in found)
    train = sum(abs(estimate / gap - 1) <= 0.2 for gap, _, estimate, _ in found)
    noise = sum(error <= 0.156 * gap for gap, _, _, error in found)  # 1.28 of these are 20%
    return (
        f"{name}: within 20% were the unseen loss known {unseen} of {n}, were the training loss known "
        f"{train} of {n}; noise of the fit small enough for 20% in 80% of runs in {noise} of {n}"
    )


def next_epochs(record):
    """(foreseen, happened) of the mean training loss's fall, for every epoch that had another after it."""
    epochs, found = record["settings"]["epochs"], []
    steps = record["measured"][-1]["step"] // epochs
    means = [
        [row["loss"] for row in record["rows"] if e * steps < row["step"] <= (e + 1) * steps]
        for e in range(epochs)
    ]
    for done in range(2, epochs):
        foreseen = read_log(record["rows"], done * steps).next_epoch_fall
        if math.isfinite(foreseen) and means[done - 1] and means[done]:
            found.append((foreseen, mean(means[done - 1]) - mean(means[done])))
    return found


def describe(name, settings, case):
    """One row of the table."""
    rank = f"LoRA {settings['lora_rank']}" if settings["lora_rank"] else "full"
    alone, beside = (_say(case[kind], case["known"]) for kind in ("said", "beside"))
    return (
        f"| {name} | {settings['task']}{', seen before' if settings['seen_before'] else ''} | {rank} "
        f"| {settings['rate']:.1e}, {settings['scheduler']} | {settings['rows']} | {case['epoch']} "
        f"| {case['known']:.3f} | {alone} | {beside} |"
    )


def kind_of(said):
    """What was told of a gap: a figure with its interval, an interval, one end of it, or nothing."""
    if math.isfinite(said.value):
        return "figure"
    if not math.isfinite(said.high):
        return "lower end" if math.isfinite(said.low) else "cannot tell"
    return "interval" if said.low != 0 else "upper end"


def holds(said, known):
    """Whether the ends that were told hold the known gap."""
    return not (known < said.low or known > said.high)


def _say(said, known):
    kind = kind_of(said)
    if kind == "cannot tell":
        return f"cannot tell: {said.reason} |"
    ends = f"{said.low:.3f} to {said.high:.3f}" if math.isfinite(said.high) else f"{said.low:.3f} or more"
    figure = f"{said.value:.3f}, " if kind == "figure" else ""
    return f"{figure}{ends} | {'yes' if holds(said, known) else 'no'}"


def share(flags):
    """How many of some are true."""
    flags = list(flags)
    return f"{sum(flags)} of {len(flags)}"


def summarize(name, cases, key):
    """How often each kind was told and right, and how near the middles of the intervals come."""
    by_kind = {}
    for case in cases:
        by_kind.setdefault(kind_of(case[key]), []).append(case)
    told = [
        f"{kind} {len(some)}"
        if kind == "cannot tell"
        else f"{kind} {len(some)}, right {share(holds(case[key], case['known']) for case in some)}"
        for kind, some in sorted(by_kind.items())
    ]
    figures = [case[key].value / case["known"] for case in by_kind.get("figure", [])]
    middles = [
        math.sqrt(case[key].low * case[key].high) / case["known"]
        for case in by_kind.get("interval", [])
        if case[key].low > 0
    ]
    return (
        f"{name}: {len(cases)} cases; {'; '.join(told)}; figures within 20% "
        f"{share(abs(x - 1) <= 0.2 for x in figures)}; middles of the intervals, which are not told, "
        f"{share(abs(x - 1) <= 0.2 for x in middles)}"
    )


def table(options):
    """Judge the logs that are there and print a row each, and what it comes to."""
    print(HEAD)
    by_set, foreseen, by_half = {}, {}, {}
    for path in sorted(options.out.glob("*.json")):
        name, record = path.stem.rpartition("-")[0], json.loads(path.read_text())
        for case in judge(record):
            if case["last"]:
                print(describe(path.stem, record["settings"], case))
            by_set.setdefault((name.removesuffix("-long"), case["last"]), []).append(case)
        foreseen.setdefault(name.removesuffix("-long"), []).extend(next_epochs(record))
        half = halves(record)
        by_half.setdefault(name.removesuffix("-long"), []).extend([half] if half else [])
    for (name, last), cases in sorted(by_set.items()):
        when = f"{name}, {'at the end' if last else 'halfway'}"
        print(summarize(f"{when}, training loss alone", cases, "said"))
        print(summarize(f"{when}, with one evaluation", cases, "beside"))
    for name, found in sorted(by_half.items()):
        if found:
            print(say_halves(name, found))
    for name, pairs in sorted(foreseen.items()):
        if pairs:
            fell = median(happened for _, happened in pairs)
            error = median(abs(told - happened) for told, happened in pairs)
            print(
                f"{name}, next epoch: {len(pairs)} cases, fall of the training loss {fell:.3f} (median), "
                f"foreseen with an error of {error:.3f} (median)"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    train = commands.add_parser("run")
    train.add_argument("--set", choices=list(SETS), default="tune")
    train.add_argument("--runs", type=int, default=36)
    train.add_argument("--first", type=int, default=0)
    train.set_defaults(do=run)
    shown = commands.add_parser("table")
    shown.set_defaults(do=table)
    for command in (train, shown):
        command.add_argument("--out", type=Path, default=Path("runs/gap"))
    options = parser.parse_args()
    options.do(options)


if __name__ == "__main__":
    main()
