"""The distance from the base model on the new task, and what was forgotten (RL's Razor, 2509.04259).

The organism's pretrained skills are known, so forgetting is measured exactly: 350 sums and problems, before
and after. Forty fine-tunes on `wordmath` differ in rate, epochs, data, method and loss; for each figure, the
share of the variance of forgetting that it explains, with a bootstrap over runs. A line of JSON is written as
each run ends, and a run that is there is not done again.

    python -m benchmarks.retention run --out runs/retention     # about 15 minutes on one idle core
    python -m benchmarks.retention table --out runs/retention
    python -m benchmarks.retention seeds --out runs/retention   # five seeds, audited
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import overmem
from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.auditing.options import AuditOptions
from overmem.auditing.problem_sets.problems import Problems, problems_of
from overmem.checkpoints import open_run
from overmem.cli.progress import quiet_libraries
from overmem.models.decoding.generation import generate
from overmem.models.likelihood.divergence import kl_nats, predict
from overmem.models.loading import ModelHost
from overmem.recipe.base_model import ORGANISM
from overmem.rendering.rendered import Rendered, text_ids
from overmem.stats.measures import mean_measure
from overmem.stats.paired import difference
from overmem.tasks.sources import load_examples
from overmem.training.trainer import train
from overmem.verdict.costs import measure_axes

RUNS = 40
SKILLS = {"sums": "pretrained:sums[100:300]", "problems": "pretrained:problems[100:250]"}
TASK = "wordmath:val[:150]"
SIZES, MOST_STEPS = (50, 100, 200, 400), 120
PREDICTORS = ("kl_val", "kl_val_references", "kl_skills", "nll_rise_skills", "weight_distance", "val_nll")
FORGOTTEN = ("accuracy_loss", "nll_loss")


def drawn_settings(number: int) -> dict[str, Any]:
    """The settings of one of the forty runs: at random, the same on every machine."""
    rng = random.Random(f"retention/{number}")
    method = rng.choice(("full", "lora"))
    loss = rng.choice(("nll", "nll", "mar", "dft", "focal"))
    low, high = (1e-4, 3e-3) if method == "full" else (5e-4, 2e-2)
    n = rng.choice(SIZES)
    epochs = rng.choice((1, 2, 4, 8))
    while n * epochs / 8 > MOST_STEPS:
        epochs //= 2
    rate = low * (high / low) ** rng.random()
    return {"method": method, "loss": loss, "rate": float(f"{rate:.2g}"), "n": n, "epochs": epochs}


def trained(settings: dict[str, Any], folder: Path, seed: int) -> Path:
    start = 400 * (seed % 10)
    recipe = overmem.load_recipe(
        "bakeoff",
        {
            "output": str(folder),
            "seed": seed,
            "method": settings["method"],
            "loss": settings["loss"],
            "data.train": f"wordmath:train[{start}:{start + settings['n']}]",
            "data.ood": {},
            "monitor": False,
            "training.num_train_epochs": settings["epochs"],
            "training.learning_rate": settings["rate"],
            "training.bf16": False,
        },
    )
    return train(recipe, resume=True)


class Measured:
    """What is asked of every model, and what the base model says to it."""

    def __init__(self) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(ORGANISM)
        options = AuditOptions(val=TASK)
        self.sets = {
            name: self._problems(name, source, options) for name, source in (SKILLS | {"val": TASK}).items()
        }
        self.base = AutoModelForCausalLM.from_pretrained(ORGANISM, dtype=torch.float32).eval()
        self.said = {name: self._said(problems) for name, problems in self.sets.items()}
        self.predicted = {name: predict(self.base, items) for name, items in self.said.items()}
        self.on_references = predict(self.base, self.sets["val"].rendered)
        self.start = {name: value.detach().clone() for name, value in self.base.state_dict().items()}
        self.at_start = {name: self._skill(self.base, name) for name in SKILLS}

    def _problems(self, name: str, source: str, options: AuditOptions) -> Problems:
        data = load_examples(source)
        return problems_of(name, "clean", source, "", data.grader, data.examples, options, self.tokenizer)

    def _written(self, model: Any, problems: Problems) -> list[Any]:
        prompts = [item.question_ids for item in problems.rendered]
        stops = [self.tokenizer.eos_token_id]
        written = generate(model, prompts, self.tokenizer, stops=stops, max_new_tokens=96, rows=128)
        return [answers[0] for answers in written]

    def _said(self, problems: Problems) -> list[Rendered]:
        found = []
        for item, answer in zip(problems.rendered, self._written(self.base, problems), strict=True):
            ids = text_ids(self.tokenizer, answer.text)
            ids += [self.tokenizer.eos_token_id] if answer.finished else []
            found.append(
                Rendered(
                    example_id=item.example_id,
                    prompt_ids=item.question_ids,
                    completion_ids=tuple(ids),
                    prompt_text=item.prompt_text,
                    completion_text=answer.text,
                )
            )
        return found

    def _right(self, model: Any, name: str) -> float:
        problems = self.sets[name]
        answers = self._written(model, problems)
        return float(
            np.mean(
                [
                    problems.graded(answer.text, example)["correct"]
                    for answer, example in zip(answers, problems.examples, strict=True)
                ]
            )
        )

    def _skill(self, model: Any, name: str) -> dict[str, float]:
        references = predict(model, self.sets[name].rendered)
        nll = sum(p.nll_nats for p in references) / sum(p.n_tokens for p in references)
        return {"accuracy": self._right(model, name), "nll": nll}

    def row(self, model: Any) -> dict[str, Any]:
        """Forgetting, and what may explain it."""
        after = {name: self._skill(model, name) for name in SKILLS}
        val = predict(model, self.sets["val"].rendered)
        kl, rise = {}, {}
        for name in self.sets:
            seen = predict(model, self.said[name])
            kl[name] = mean_kl(self.predicted[name], seen)
            tokens = sum(p.n_tokens for p in seen)
            rise[name] = (
                sum(p.nll_nats for p in seen) / tokens
                - sum(p.nll_nats for p in self.predicted[name]) / tokens
            )
        moved = self._moved(model)

        def lost(figure: str, sign: float) -> float:
            return float(np.mean([sign * (after[n][figure] - self.at_start[n][figure]) for n in SKILLS]))

        return {
            "accuracy_loss": lost("accuracy", -1.0),
            "nll_loss": lost("nll", 1.0),
            "after": after,
            "kl_val": kl["val"],
            "kl_val_references": mean_kl(self.on_references, val),
            "kl_skills": float(np.mean([kl[name] for name in SKILLS])),
            "nll_rise_skills": float(np.mean([rise[name] for name in SKILLS])),
            "weight_distance": moved,
            "val_nll": sum(p.nll_nats for p in val) / sum(p.n_tokens for p in val),
            "val_accuracy": self._right(model, "val"),
        }

    def _moved(self, model: Any) -> float:
        """The norm of what was added to the weights, over the norm of the weights."""
        if hasattr(model, "merge_and_unload"):
            model = model.merge_and_unload()
        now = model.state_dict()
        added = sum(float((now[name] - value).square().sum()) for name, value in self.start.items())
        return float((added / sum(float(v.square().sum()) for v in self.start.values())) ** 0.5)


def mean_kl(base: Sequence[Any], other: Sequence[Any]) -> float:
    """KL(base || other) per token over some answers."""
    parts = [kl_nats(b.logits_K_V, o.logits_K_V) for b, o in zip(base, other, strict=True)]
    return float(torch.cat(parts).double().mean())


def run(out: Path) -> None:
    """Train and measure what is not there yet."""
    results = out / "runs.jsonl"
    out.mkdir(parents=True, exist_ok=True)
    done = {row["number"] for row in read(results)}
    measured = Measured()
    print(f"base: {measured.at_start}", flush=True)
    for number in range(RUNS):
        if number in done:
            continue
        began, settings = time.monotonic(), drawn_settings(number)
        folder = trained(settings, out / f"run-{number}", number)
        opened = open_run(folder)
        host = ModelHost(opened, device=torch.device("cpu"), dtype=torch.float32, base_model=str(ORGANISM))
        row = measured.row(host.load(opened.checkpoints[-1]))
        seconds = round(time.monotonic() - began, 1)
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"number": number, **settings, **row, "seconds": seconds}) + "\n")
        print(number, settings, f"{row['accuracy_loss']:+.3f} {row['kl_val']:.3f} {seconds} s", flush=True)
        shutil.rmtree(folder)


def read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def linear_share(x_N: np.ndarray, y_N: np.ndarray) -> float:
    """R^2 of a straight line."""
    return float(np.corrcoef(x_N, y_N)[0, 1] ** 2)


def quadratic_share(x_N: np.ndarray, y_N: np.ndarray) -> float:
    """R^2 of a parabola, which is what RL's Razor fits."""
    left = y_N - np.polyval(np.polyfit(x_N, y_N, 2), x_N)
    return float(1 - left.var() / y_N.var())


def rank_share(x_N: np.ndarray, y_N: np.ndarray) -> float:
    """Squared rank correlation (Spearman), ties at their mean rank."""
    from scipy.stats import rankdata

    return linear_share(rankdata(x_N), rankdata(y_N))


OVER_SEEDS = {"method": "full", "loss": "nll", "rate": 1e-3, "n": 200, "epochs": 8}
"""The fine-tune that `seeds` repeats."""
TEST, N_TEST = "wordmath:test[:100]", 100
DRAWS = 2000
FEWEST = 3
"""Runs of a group of which a share is said."""
SHARES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "linear": linear_share,
    "quadratic": quadratic_share,
    "rank": rank_share,
}


def with_interval(
    share: Callable[..., float],
    x_N: np.ndarray,
    y_N: np.ndarray,
    less_N: np.ndarray | None = None,
) -> str:
    """The share that x explains, minus the one that another figure does where it is given; 95% over runs."""

    def figure(of: Any) -> float:
        own = share(x_N[of], y_N[of])
        return own if less_N is None else own - share(less_N[of], y_N[of])

    rng = np.random.default_rng(0)
    drawn = (rng.integers(len(x_N), size=len(x_N)) for _ in range(DRAWS))
    found = [figure(of) for of in drawn if np.ptp(x_N[of]) > 0 and np.ptp(y_N[of]) > 0]
    if not found:
        return "-"
    low, high = np.percentile(found, [2.5, 97.5])
    return f"{figure(slice(None)):+.2f} ({low:+.2f} to {high:+.2f})"


def table(out: Path) -> None:
    """Print the share of the variance that each figure explains, for each kind of forgetting."""
    rows = read(out / "runs.jsonl")
    print(f"{len(rows)} runs, {sum(row['seconds'] for row in rows) / 60:.0f} minutes")
    for group, kept in (
        ("all", rows),
        ("full", [row for row in rows if row["method"] == "full"]),
        ("lora", [row for row in rows if row["method"] == "lora"]),
        ("learned the task", [row for row in rows if row["val_accuracy"] >= 0.5]),
    ):
        if len(kept) < FEWEST:
            continue
        for target in FORGOTTEN:
            y_N = np.array([row[target] for row in kept])
            print(f"\n{target}, {group}: {len(kept)} runs, {y_N.min():+.3f} to {y_N.max():+.3f}\n")
            kl_N = np.array([row["kl_val"] for row in kept])
            heads = [*SHARES, "linear, kl_val minus it", "rank, kl_val minus it"]
            print("| figure | " + " | ".join(heads) + " |\n" + "| --- " * (1 + len(heads)) + "|")
            for name in PREDICTORS:
                x_N = np.array([row[name] for row in kept])
                cells = [with_interval(share, x_N, y_N) for share in SHARES.values()]
                cells += [with_interval(share, kl_N, y_N, x_N) for share in (linear_share, rank_share)]
                print(f"| {name} | " + " | ".join(cells) + " |")


def seeds(out: Path, number: int) -> None:
    """Fine-tunes of one recipe, audited: retention at lowest perplexity, recommended and last."""
    print("| seed | checkpoint | measure | against the base model |\n" + "| --- " * 4 + "|")
    for seed in range(number):
        path = trained(OVER_SEEDS, out / f"seed-{seed}", seed)
        began = time.monotonic()
        done = overmem.audit(path, val=TEST, axes=("retention",), limit=N_TEST, base_model=str(ORGANISM))
        verdict = overmem.diagnose(done)
        took = time.monotonic() - began
        picks = {
            "lowest perplexity": verdict.alternatives["lowest_perplexity"],
            "recommended": verdict.recommended.name if verdict.recommended else None,
            "last": verdict.checkpoints[-1].name,
        }
        stages = {point.name: point for point in verdict.checkpoints}
        for what, name in picks.items():
            if name is None:
                continue
            [evidence] = align_evidence([MeasuredCheckpoint(done.store, done.manifest, name)])
            for measure in measure_axes(evidence, ["retention"])["retention"].values():
                zeros = mean_measure(
                    "", "lower", next(iter(measure.sizes)), np.zeros(next(iter(measure.sizes.values())))
                )
                found = difference([measure], [zeros]).estimate
                point = stages[name]
                row = {
                    "seed": seed, "what": what, "checkpoint": name, "stage": point.stage,
                    "accuracy": point.accuracy.value, "perplexity": point.perplexity.value,
                    "measure": measure.name, "value": found.value, "low": found.low, "high": found.high,
                    "audit_seconds": round(took, 1),
                }  # fmt: skip
                with (out / "seeds.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(
                    f"| {seed} | {what}, {name} ({point.stage}) | {measure.name} | {found.value:+.3f} "
                    f"({found.low:+.3f} to {found.high:+.3f}) |",
                    flush=True,
                )


def main() -> None:
    """Run, or print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "table", "seeds"))
    parser.add_argument("--out", type=Path, default=Path("runs/retention"))
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(1)
    if options.what == "seeds":
        seeds(options.out, options.seeds)
    else:
        {"run": run, "table": table}[options.what](options.out)


if __name__ == "__main__":
    main()
