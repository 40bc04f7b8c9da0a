"""Remedies against over-memorization, side by side: losses, noise and averages, over rates and seeds.

For one seed every method trains on the same 400 problems for 12 epochs, where nll over-memorizes at 4e-4.
Its rate, out of three, is chosen with seed 0 on `wordmath:val`: among rates whose accuracy is within 0.03
of the method's best, the lowest NLL at the last checkpoint. At that rate it trains with every seed and is
measured on `wordmath:test`, which chooses nothing. Averages are of the checkpoints of nll's run with the
same seed: of each family that `overmem repair` proposes the one with the lowest NLL on `wordmath:val`. What
is done is kept, so the command can be stopped, repeated, and split over processes by method; averages come
after nll. `table` prints every method against nll or another, at the last checkpoint, as Markdown: means
over seeds, and the paired differences with 95% t intervals over seeds. It gathers what was measured in
benchmarks/bakeoff_results.json, from which another machine goes on.

    OMP_NUM_THREADS=1 python -m benchmarks.bakeoff run --methods nll mar --seeds 0 1 2 3 4
    python -m benchmarks.bakeoff table
    python -m benchmarks.bakeoff table --against focal-1
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats

import overmem
from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.artifacts.files import write_text_atomic
from overmem.axes import all_axes
from overmem.cli.progress import quiet_libraries
from overmem.repairing.candidates import propose
from overmem.training.trainer import train
from overmem.verdict.costs import measure_axes

RESULTS = Path(__file__).with_name("bakeoff_results.json")
RATES = (1e-4, 2e-4, 4e-4)
PROBLEMS = 400
TEST = "wordmath:test[:400]"
VAL = "wordmath:val[:400]"
METHODS = {
    "nll": {},
    "mar": {"loss": "mar"},
    "mar-normalised": {"loss": "mar", "normalize_weights": True},
    # With the gradient through p, as its authors have it; without, gamma 1 is mar.
    "focal-0.5": {"loss": "focal", "loss_options": {"gamma": 0.5, "differentiate": True}},
    "focal-1": {"loss": "focal", "loss_options": {"gamma": 1, "differentiate": True}},
    "focal-2": {"loss": "focal", "loss_options": {"gamma": 2, "differentiate": True}},
    "dft": {"loss": "dft"},
    # Its weight is p, and the base never writes the format: so with nll for the first epoch.
    "dft-after-nll": {"loss": "dft", "weights_from_step": 50},
    "label-smoothing": {"loss": "label_smoothing"},
    "eaft": {"loss": "eaft"},
    "talr": {"loss": "talr"},
    "goldfish": {"loss": "goldfish"},
    "neftune": {"training.neftune_noise_alpha": 5},
}
AVERAGES = {f"nll-{family}": family for family in ("pair", "soup", "ema")}
"""Made of the checkpoints of nll's run."""
STEPS = PROBLEMS // 8 * 12
KEPT = 50
"""Steps between the checkpoints of nll's run that are kept."""
LIMITS = {
    "likelihood": 400,
    "accuracy": 400,
    "privacy": 400,
    "recall": 200,
    "calibration": 100,
    "diversity": 100,
    "ood": 100,
    "robustness": 100,
}


def train_one(method, rate, seed, out):
    """Train unless it is there already; of nll every epoch is kept, for averages of its checkpoints."""
    path = out / f"{method}-{rate:g}-{seed}"
    last = path / f"checkpoint-{STEPS}"
    if not (last / "trainer_state.json").is_file():
        shutil.rmtree(path, ignore_errors=True)
        keep = KEPT if method == "nll" else STEPS
        overrides = {
            "seed": seed,
            "output": str(path),
            "data.train": f"wordmath:train[{seed * PROBLEMS}:{(seed + 1) * PROBLEMS}]",
            "training.learning_rate": rate,
            "training.save_strategy": "steps",
            "training.save_steps": keep,
            "monitor": False,
            **METHODS[method],
        }
        train(overmem.load_recipe("bakeoff", overrides))
    return path, last


def average_one(method, rate, seed, out):
    """The best average of one family, in a run folder of its own; every candidate is scored once."""
    path = out / f"{method}-{rate:g}-{seed}"
    last = path / f"checkpoint-{STEPS}"
    if last.is_dir():
        return path, last
    source, _ = train_one("nll", rate, seed, out)
    scored = scored_averages(source)
    family = [item for item in scored if item["family"] == AVERAGES[method]]
    best = min(family, key=lambda item: item["nll"])
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    shutil.copy(source / "recipe.yaml", path)
    (path / "average.json").write_text(json.dumps(best, indent=1))
    make_average(source, best, last)
    return path, last


def scored_averages(source):
    """NLL on val of every average that a repair would propose; the averages themselves are not kept."""
    kept = source / "averages.json"
    if not kept.is_file():
        audit = overmem.audit(source, val=VAL, out=source / "search", limit=200)
        verdict = overmem.diagnose(audit)
        trained = [point for point in verdict.checkpoints if point.step]
        names = [point.name for point in trained]
        shipped = verdict.recommended.name if verdict.recommended else names[-1]
        candidates = propose(
            names,
            np.array([point.accuracy.value for point in trained]),
            np.array([point.nll_nats.value for point in trained]),
            names.index(shipped) if shipped in names else len(names) - 1,
        )
        made = source / "averages"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        shutil.copy(source / "recipe.yaml", made)
        found = [
            {"family": item.family, "checkpoints": list(item.checkpoints), "weights": list(item.weights)}
            for item in candidates
        ]
        for number, item in enumerate(found, start=1):
            make_average(source, item, made / f"checkpoint-{number}")
        audit = overmem.audit(made, val=VAL, axes="likelihood", limit=400)
        for number, item in enumerate(found, start=1):
            item["nll"] = val_nll(audit.store, f"checkpoint-{number}")
        shutil.rmtree(made)
        kept.write_text(json.dumps(found, indent=1))
    return json.loads(kept.read_text())


def only(checkpoint):
    """A run with one checkpoint of those in its folder."""
    run = overmem.open_run(checkpoint.parent)
    return replace(run, checkpoints=tuple(item for item in run.checkpoints if item.path == checkpoint))


def val_nll(store, name):
    """NLL of a checkpoint on val, nats per token."""
    rows = store.read_rows(name, "likelihood").filter(pl.col("split") == "val")
    return rows["nll_nats"].sum() / rows["n_tokens"].sum()


def make_average(source, item, path):
    """A weighted mean of a run's checkpoints."""
    members = [source / name for name in item["checkpoints"]]
    overmem.merge(members, path, method="linear", weights=item["weights"])


def make(method, rate, seed, out):
    """A method's model: trained, or averaged."""
    return (average_one if method in AVERAGES else train_one)(method, rate, seed, out)


def on_val(method, rate, out):
    """Accuracy and NLL of seed 0's last checkpoint on the split that chooses."""
    path, last = train_one(method, rate, 0, out)
    audit = overmem.audit(only(last), val=VAL, out=path / "last", limit=400)
    accuracy = audit.store.read_rows(last.name, "generations")["correct"].mean()
    return {"rate": rate, "accuracy": accuracy, "nll": val_nll(audit.store, last.name)}


def choose_rate(method, out):
    """The rate of a method, chosen once and kept; an average has that of its checkpoints."""
    if method in AVERAGES:
        return choose_rate("nll", out)
    known = results(out)["rates"]
    if method not in known:
        found = [on_val(method, rate, out) for rate in RATES]
        best = max(item["accuracy"] for item in found)
        chosen = min(
            (item for item in found if item["accuracy"] >= best - 0.03), key=lambda item: item["nll"]
        )
        known = {method: {"tried": found, "rate": chosen["rate"]}}
        write_text_atomic(out / f"{method}.rates.json", json.dumps(known[method], indent=1))
    return known[method]["rate"]


def run(methods, seeds, out, rate):
    """Make and measure, at each method's own rate or at one given for all; every line is a run finished."""
    for method in methods:
        own = rate or choose_rate(method, out)
        print(f"{method}: rate {own:g}", flush=True)
        for seed in seeds:
            if f"{method}-{own:g}-{seed}" in results(out)["runs"]:
                continue
            path, last = make(method, own, seed, out)
            audit = overmem.audit(only(last), val=TEST, axes="all", limits=LIMITS)
            measured = measures_of(audit, last.name)
            write_text_atomic(path / "measures.json", json.dumps(measured, indent=1))
            print(path, flush=True)


def measures_of(audit, name):
    """Every measure of every axis at a checkpoint, as `axis.measure`."""
    [evidence] = align_evidence([MeasuredCheckpoint(audit.store, audit.manifest, name)])
    return {
        f"{axis}.{measure_name}": None if math.isnan(value := measure.value()) else value
        for axis, found in measure_axes(evidence, tuple(all_axes())).items()
        for measure_name, measure in found.items()
    }


def results(out):
    """What is known: rates by method and measures by run, of this machine and of those before it."""
    found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"rates": {}, "runs": {}}
    for path in out.glob("*.rates.json"):
        found["rates"][path.name.removesuffix(".rates.json")] = json.loads(path.read_text())
    for path in out.glob("*/measures.json"):
        found["runs"][path.parent.name] = json.loads(path.read_text())
    return found


HEADLINES = {
    "accuracy.accuracy": "higher",
    "likelihood.nll": "lower",
    "diversity.pass_at_8": "higher",
    "diversity.distinct_2": "higher",
    "robustness.accuracy_drop": "lower",
    "ood.accuracy": "higher",
    "calibration.token_ece": "lower",
    "privacy.auroc_loss": "lower",
    "recall.recall_gap": "lower",
}
"""Measures of the table, and the direction that is better."""


def rates_table(known):
    """What each rate reached on the split that chooses."""
    rows = ["| method | rate | accuracy | NLL | chosen |", "| --- | --- | --- | --- | --- |"]
    for method, found in sorted(known["rates"].items(), key=lambda item: list(METHODS).index(item[0])):
        for item in found["tried"]:
            chosen = "yes" if item["rate"] == found["rate"] else ""
            rows.append(
                f"| {method} | {item['rate']:g} | {item['accuracy']:.3f} | {item['nll']:.3f} | {chosen} |"
            )
    return rows


def table(known, seeds, rate, against):
    """Each method against one over the seeds both have, at its own rate or at one given for all."""
    rows = [
        "| method | rate | seeds | " + " | ".join(name.replace("_", " ") for name in HEADLINES) + " |",
        "| --- " * (3 + len(HEADLINES)) + "|",
    ]
    rates = {method: found["rate"] for method, found in known["rates"].items()}
    rates = dict.fromkeys(METHODS, rate) if rate else rates
    rates |= dict.fromkeys(AVERAGES, rates["nll"]) if "nll" in rates else {}
    if against not in rates:
        return [f"nothing to compare with: {against} has not been run"]
    for method in [*METHODS, *AVERAGES]:
        if method not in rates:
            continue
        pairs = [
            (known["runs"][mine], known["runs"][theirs])
            for seed in seeds
            if (mine := f"{method}-{rates[method]:g}-{seed}") in known["runs"]
            and (theirs := f"{against}-{rates[against]:g}-{seed}") in known["runs"]
        ]
        if pairs:
            said = [describe(pairs, name, is_reference=method == against) for name in HEADLINES]
            rows.append(f"| {method} | {rates[method]:g} | {len(pairs)} | " + " | ".join(said) + " |")
    return rows


def describe(pairs, name, *, is_reference):
    """The mean over seeds and, but for the reference, the paired difference from it with its interval."""
    pairs = [(run, theirs) for run, theirs in pairs if name in run and name in theirs]
    if not pairs:
        return "-"
    mine = np.array([run[name] for run, _ in pairs], dtype=float)
    gap = mine - np.array([theirs[name] for _, theirs in pairs], dtype=float)
    if is_reference:
        return f"{mine.mean():.3f}"
    if len(pairs) < 2:
        return f"{mine.mean():.3f} {gap.mean():+.3f}"
    half = stats.t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / len(gap) ** 0.5
    clear = abs(gap.mean()) > half
    better = (gap.mean() > 0) == (HEADLINES[name] == "higher")
    mark = ("**" if better else "_") if clear else ""
    return f"{mine.mean():.3f} {mark}{gap.mean():+.3f} ± {half:.3f}{mark}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("do", choices=["run", "table"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=[*METHODS, *AVERAGES])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, default=Path("runs/bakeoff"))
    parser.add_argument("--rate", type=float, help="one for all, in place of each one's best")
    parser.add_argument("--against", default="nll", choices=[*METHODS, *AVERAGES], help="in the table")
    options = parser.parse_args()
    if options.do == "table":
        known = results(options.out)
        write_text_atomic(RESULTS, json.dumps(known, indent=1, sort_keys=True) + "\n")
        print(
            "\n".join([*rates_table(known), "", *table(known, options.seeds, options.rate, options.against)])
        )
        return
    quiet_libraries()
    run(options.methods, options.seeds, options.out, options.rate)


if __name__ == "__main__":
    main()
