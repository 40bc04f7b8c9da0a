"""Does the score of memorized rows find the rows whose presence made the difference? On the organism.

Training sets of 256 rows, each with what real data have planted in: wrong answers, solutions in another
style, solutions of other problems, and duplicates. Of each set many models are trained on random halves; a
row's counterfactual memorization (2012.13321, 2112.12938) is its log-likelihood under the models that had it
minus that under the models that did not, nats per token. The score comes from one ordinary run on all rows.
Then models are retrained without the listed tenth, and without a random tenth. The score was chosen on set 0
(20 models); the proof is set 1 (40 models), which had no part in the choice. Everything done is kept in
--out, so the command can be stopped and repeated.

    OMP_NUM_THREADS=1 python -m benchmarks.memorized_rows halves     # an hour on one idle core
    OMP_NUM_THREADS=1 python -m benchmarks.memorized_rows ordinary
    OMP_NUM_THREADS=1 python -m benchmarks.memorized_rows retrain --sets 1
    OMP_NUM_THREADS=1 python -m benchmarks.memorized_rows report

Shape suffixes: R models, N rows.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from transformers import AutoModelForCausalLM, AutoTokenizer

import overmem
from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.artifacts.files import write_text_atomic
from overmem.cli.progress import quiet_libraries
from overmem.memorized.excess_fall import n_top
from overmem.memorized.ranking import rank_training_rows
from overmem.models.likelihood.scoring import score_all
from overmem.rendering.render import render_all
from overmem.rendering.template import Template
from overmem.stats.intervals import critical_value
from overmem.synthetic.wordmath import load_split, recall_problem, write_solution
from overmem.synthetic.wordmath.wording import OTHER_STYLE
from overmem.tasks.sources import load_examples
from overmem.training.trainer import train
from overmem.verdict.costs import measure_axes
from overmem.verdict.diagnose import open_audit

ROWS = 256
MODELS = {0: 20, 1: 40}
"""Models on random halves, by training set."""
KINDS = {"wrong": 13, "style": 26, "exchanged": 12, "duplicate": 10}
"""Rows of each kind; those of `duplicate` are there twice more."""
VAL, TEST = "wordmath:val[:256]", "wordmath:test[:200]"
SEEDS, ARMS = range(5), ("listed", "random")
EPOCHS = 10


def make_rows(number):
    """The rows of a training set; what is planted is named under `kind`."""
    rng = random.Random(f"memorized/{number}")
    plain = ROWS - 2 * KINDS["duplicate"]
    examples = load_split("train", number * 1000 + plain)[number * 1000 :]
    order = rng.sample(range(plain), sum(KINDS.values()))
    kinds = dict(zip(order, (kind for kind, n in KINDS.items() for _ in range(n)), strict=True))
    exchanged = [i for i in order if kinds[i] == "exchanged"]
    partner = dict(zip(exchanged, exchanged[1:] + exchanged[:1], strict=True))
    rows = []
    for i, example in enumerate(examples):
        kind, completion = kinds.get(i, "plain"), example.completion
        if kind == "wrong":
            other = int(example.answer) + rng.choice([3, 7, 10])
            completion = f"{completion.rpartition('####')[0]}#### {other}"
        elif kind == "style":
            completion = write_solution(recall_problem(example), rng, OTHER_STYLE)
        elif kind == "exchanged":
            completion = examples[partner[i]].completion
        rows.append({"id": f"row-{i}", "prompt": example.prompt, "completion": completion, "kind": kind})
    again = [row for row in rows if row["kind"] == "duplicate"]
    return rows + [{**row, "id": f"{row['id']}-{copy}"} for copy in (1, 2) for row in again]


def write_rows(path, rows):
    """Rows as JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(path, "".join(json.dumps(row) + "\n" for row in rows))
    return path


def fine_tune(data, out, seed, *, every_epoch=False):
    """Train the demo's recipe on a file; a run that is there is left alone."""
    often = {} if every_epoch else {"training.save_strategy": "steps", "training.save_steps": 10**6}
    recipe = overmem.load_recipe(
        "demo",
        {
            "output": str(out),
            "seed": seed,
            "data": {"train": str(data), "val": VAL},
            "monitor": False,
            "save_base": every_epoch,
            "training.learning_rate": 8e-4,
            "training.num_train_epochs": EPOCHS,
            "training.save_only_model": True,
            **often,
        },
    )
    if not (out / "done").exists():
        shutil.rmtree(out, ignore_errors=True)
        train(recipe)
        (out / "done").touch()
    return out


@torch.no_grad()
def nll_of(run, data):
    """Nats per token of every row under the last checkpoint of a run."""
    folder = max(run.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    items = render_all(load_examples(str(data)).examples, tokenizer, Template())
    return [-sum(found.logprob) / len(found.logprob) for found in score_all(model.eval(), items)]


def do_halves(out, number):
    """Train the models on random halves; keep which rows each had, and the NLL of all."""
    rows = make_rows(number)
    data = write_rows(out / f"set-{number}" / "train.jsonl", rows)
    for r in range(MODELS[number]):
        kept = out / f"set-{number}" / "halves" / f"{r:03d}.json"
        if kept.exists():
            continue
        began = time.monotonic()
        had = sorted(random.Random(f"half/{number}/{r}").sample(range(len(rows)), len(rows) // 2))
        half = write_rows(kept.with_suffix(".jsonl"), [rows[i] for i in had])
        run = fine_tune(half, kept.with_suffix(""), seed=r)
        found = {"had": had, "nll": nll_of(run, data), "seconds": time.monotonic() - began}
        write_text_atomic(kept, json.dumps(found))
        shutil.rmtree(run)
        print(f"set {number}, model {r}: {found['seconds']:.0f} s", flush=True)


def ordinary_run(out, number):
    """One ordinary run on all rows, a checkpoint an epoch, with every row audited."""
    data = write_rows(out / f"set-{number}" / "train.jsonl", make_rows(number))
    run = fine_tune(data, out / f"set-{number}" / "ordinary", seed=1000, every_epoch=True)
    # Accuracy is not what is looked at here, so a few answers will do.
    overmem.audit(run, val=VAL, train=str(data), all_train=True, limits={"accuracy": 20})
    return run


def retrain(out, number):
    """Fine-tune again without the listed tenth, and without a random tenth, of as many rows."""
    rows = make_rows(number)
    store, manifest = open_audit(ordinary_run(out, number))
    listed = set(rank_training_rows(store, manifest).highest(0.1)["example_id"])
    for seed in SEEDS:
        some = {row["id"] for row in random.Random(f"retrain/{number}/{seed}").sample(rows, len(listed))}
        for arm, without in zip(ARMS, (listed, some), strict=True):
            kept = out / f"set-{number}" / "retrain" / f"{arm}-{seed}.json"
            if kept.exists():
                continue
            data = write_rows(kept.with_suffix(".jsonl"), [row for row in rows if row["id"] not in without])
            run = fine_tune(data, kept.with_suffix(""), seed=seed)
            found = figures_of(run, data)
            write_text_atomic(kept, json.dumps(found))
            shutil.rmtree(run)
            print(f"set {number}, without {arm}, seed {seed}: {found}", flush=True)


def figures_of(run, data):
    """Accuracy and NLL on the test problems, and what is continued word for word of the run's own rows."""
    done = overmem.audit(
        run, val=TEST, train=str(data), all_train=True, axes="likelihood,accuracy,recall", checkpoints="all"
    )
    place = MeasuredCheckpoint(done.store, done.manifest, done.manifest.checkpoints[-1].name)
    (evidence,) = align_evidence([place])
    measured = measure_axes(evidence, ("likelihood", "accuracy", "recall"))
    return {
        "nll": measured["likelihood"]["nll"].value(),
        "accuracy": measured["accuracy"]["accuracy"].value(),
        "train_recall": measured["recall"]["train_recall"].value(),
        "train_exact": measured["recall"]["train_exact"].value(),
        "recall_gap": measured["recall"]["recall_gap"].value(),
    }


def counterfactual(out, number):
    """(true memorization of each row, models it rests on)."""
    found = [json.loads(path.read_text()) for path in sorted((out / f"set-{number}/halves").glob("*.json"))]
    nll_R_N = np.array([item["nll"] for item in found])
    had_R_N = np.zeros(nll_R_N.shape, dtype=bool)
    for r, item in enumerate(found):
        had_R_N[r, item["had"]] = True
    return nll_R_N, had_R_N


def gain(nll_R_N, had_R_N):
    """Mean NLL under the models without a row minus that under the models with it; NaN where none is."""
    with np.errstate(invalid="ignore"):
        without_N = (nll_R_N * ~had_R_N).sum(axis=0) / (~had_R_N).sum(axis=0)
        return without_N - (nll_R_N * had_R_N).sum(axis=0) / had_R_N.sum(axis=0)


def agreement(score_N, true_N):
    """Spearman's correlation, and the share of the score's top tenth that is in the truth's."""
    n = n_top(len(score_N), 0.1)
    both = set(np.argsort(-score_N)[:n]) & set(np.argsort(-true_N)[:n])
    return spearmanr(score_N, true_N).statistic, len(both) / n


def with_interval(nll_R_N, had_R_N, score_N, seed=0):
    """Both figures of `agreement` with 95% intervals over models and rows."""
    rng = np.random.default_rng(seed)
    models, rows = nll_R_N.shape
    draws = []
    for _ in range(1000):
        r, n = rng.integers(models, size=models), rng.integers(rows, size=rows)
        true_N = gain(nll_R_N[r][:, n], had_R_N[r][:, n])
        known = np.isfinite(true_N)
        draws.append(agreement(score_N[n][known], true_N[known]))
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    return [
        f"{value:.2f} ({a:.2f} to {b:.2f})"
        for value, a, b in zip(agreement(score_N, gain(nll_R_N, had_R_N)), low, high, strict=True)
    ]


def report(out, number):
    """Print what was found of one set."""
    rows = make_rows(number)
    nll_R_N, had_R_N = counterfactual(out, number)
    true_N = gain(nll_R_N, had_R_N)
    store, manifest = open_audit(out / f"set-{number}" / "ordinary")
    ranked = rank_training_rows(store, manifest)
    at = {row["id"]: i for i, row in enumerate(rows)}
    places = [at[name] for name in ranked.table["example_id"]]
    score_N, last_N, before_N = (np.full(len(rows), np.nan) for _ in range(3))
    score_N[places], last_N[places] = ranked.table["excess"].to_numpy(), -ranked.table["nll"].to_numpy()
    before_N[places] = ranked.table["nll_before"].to_numpy()
    kinds = np.array([row["kind"] for row in rows])
    print(f"\nset {number}: {len(nll_R_N)} models, {len(rows)} rows; {ranked.words}")
    print("| rows | score | Spearman | precision of the top tenth |\n| --- | --- | --- | --- |")
    which = {"all": kinds != "", "not planted": kinds == "plain"}
    scores = {"excess fall": score_N, "NLL at the end": last_N, "NLL before": before_N}
    for name, kept_N in which.items():
        for score, value_N in scores.items():
            rho, precision = with_interval(nll_R_N[:, kept_N], had_R_N[:, kept_N], value_N[kept_N])
            print(f"| {name} ({kept_N.sum()}) | {score} | {rho} | {precision} |")
    listed = set(np.argsort(-score_N)[: n_top(len(rows), 0.1)])
    for kind in dict.fromkeys(kinds):
        of_kind = np.flatnonzero(kinds == kind)
        print(
            f"{kind}: {len(of_kind)} rows, true memorization {true_N[of_kind].mean():.2f} nats/token, "
            f"{len(listed & set(of_kind))} listed"
        )
    print_retrained(out / f"set-{number}" / "retrain")


def print_retrained(folder):
    """The paired difference of the two arms over the seeds that both have."""
    seeds = [seed for seed in SEEDS if all((folder / f"{arm}-{seed}.json").exists() for arm in ARMS)]
    arms = {arm: [json.loads((folder / f"{arm}-{seed}.json").read_text()) for seed in seeds] for arm in ARMS}
    for figure in arms["listed"][0] if len(seeds) > 1 else ():
        listed, other = (np.array([item[figure] for item in arms[arm]]) for arm in ARMS)
        change = listed - other
        half = critical_value(len(seeds)) * change.std(ddof=1) / np.sqrt(len(seeds))
        print(
            f"{figure}: without the listed {listed.mean():.3f}, without random rows {other.mean():.3f}: "
            f"{change.mean():+.3f} +- {half:.3f} ({len(seeds)} seeds)"
        )


DO = {"halves": do_halves, "ordinary": ordinary_run, "retrain": retrain, "report": report}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=DO)
    parser.add_argument("--out", type=Path, default=Path("runs/memorized"))
    parser.add_argument("--sets", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    quiet_libraries()
    for number in options.sets:
        DO[options.what](options.out, number)


if __name__ == "__main__":
    main()
