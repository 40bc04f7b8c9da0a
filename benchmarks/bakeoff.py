"""Remedies against over-memorization, side by side: losses, noise and averages, over rates and seeds.

Every method trains on the same 400 problems for 12 epochs, where nll over-memorizes at 4e-4. Its rate, out of three, is chosen with
seed 0 on `wordmath:val`: among rates whose accuracy is within 0.03 of the method's best, the lowest NLL at
the last checkpoint. At that rate it trains with every seed and is measured on `wordmath:test`, which
chooses nothing. Averages are of the checkpoints of nll's run with the same seed: of each family that
`overmem repair` proposes the one with the lowest NLL on `wordmath:val`. What is done is kept, so the command
can be stopped, repeated, and split over processes by method; averages come after nll. `table` prints every
method against nll, both at the last checkpoint, as Markdown.

    OMP_NUM_THREADS=1 python benchmarks/bakeoff.py run --methods nll mar --seeds 0 1 2 3 4
    python benchmarks/bakeoff.py table
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl

import overmem
from overmem.axes import all_axes
from overmem.cli.progress import quiet_libraries
from overmem.diagnosis.costs import compare_measured, measure_axes
from overmem.diagnosis.evidence import Place, gather
from overmem.diagnosis.run import open_audit
from overmem.repairing.candidates import propose
from overmem.training.trainer import train

RATES = (2e-4, 4e-4, 8e-4)
PROBLEMS = 400
METHODS = {
    "nll": {},
    "mar": {"loss": "mar"},
    "mar-normalised": {"loss": "mar", "normalize_weights": True},
    # With the gradient through p, as its authors have it; without, gamma 1 is mar.
    "focal-0.5": {"loss": "focal", "loss_options": {"gamma": 0.5, "differentiate": True}},
    "focal-1": {"loss": "focal", "loss_options": {"gamma": 1, "differentiate": True}},
    "focal-2": {"loss": "focal", "loss_options": {"gamma": 2, "differentiate": True}},
    "dft": {"loss": "dft"},
    "label-smoothing": {"loss": "label_smoothing"},
    "eaft": {"loss": "eaft"},
    "talr": {"loss": "talr"},
    "goldfish": {"loss": "goldfish"},
    "neftune": {"training.neftune_noise_alpha": 5},
}
AVERAGES = {f"nll-{family}": family for family in ("pair", "soup", "ema")}
"""Made of the checkpoints of nll's run."""
STEPS = PROBLEMS // 8 * 12
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
        keep = 50 if method == "nll" else STEPS
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
        audit = overmem.audit(source, val="wordmath:val[:400]", out=source / "search", limit=400)
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
        audit = overmem.audit(made, val="wordmath:val[:400]", axes="likelihood", limit=400)
        for number, item in enumerate(found, start=1):
            rows = audit.store.read_rows(f"checkpoint-{number}", "likelihood").filter(
                pl.col("split") == "val"
            )
            item["nll"] = rows["nll_nats"].sum() / rows["n_tokens"].sum()
        shutil.rmtree(made)
        kept.write_text(json.dumps(found, indent=1))
    return json.loads(kept.read_text())


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
    audit = overmem.audit(path, val="wordmath:val[:400]", out=path / "search", limit=400)
    point = overmem.diagnose(audit).checkpoints[-1]
    assert point.name == last.name
    return {"rate": rate, "accuracy": point.accuracy.value, "nll": point.nll_nats.value}


def choose_rate(method, out):
    """The rate of a method, chosen once and kept in a file; an average has that of its checkpoints."""
    if method in AVERAGES:
        return choose_rate("nll", out)
    kept = out / f"{method}.rates.json"
    if not kept.is_file():
        found = [on_val(method, rate, out) for rate in RATES]
        best = max(item["accuracy"] for item in found)
        chosen = min(
            (item for item in found if item["accuracy"] >= best - 0.03), key=lambda item: item["nll"]
        )
        kept.write_text(json.dumps({"tried": found, "rate": chosen["rate"]}, indent=1))
    return json.loads(kept.read_text())["rate"]


def run(methods, seeds, out, rate):
    """Make and measure, at each method's own rate or at one given for all; every line is a run finished."""
    for method in [] if rate else methods:
        print(f"{method}: rate {choose_rate(method, out):g}", flush=True)
    for seed in seeds:
        for method in methods:
            path, last = make(method, rate or choose_rate(method, out), seed, out)
            overmem.audit(path, val="wordmath:test[:400]", axes="all", limits=LIMITS, checkpoints=last.name)
            print(path, flush=True)


HEADLINES = (
    ("accuracy", "accuracy"),
    ("likelihood", "nll"),
    ("diversity", "pass_at_8"),
    ("diversity", "distinct_2"),
    ("robustness", "accuracy_drop"),
    ("ood", "accuracy"),
    ("calibration", "token_ece"),
    ("privacy", "auroc_loss"),
    ("recall", "recall_gap"),
)


def rates_table(out):
    """What each rate reached on the split that chooses."""
    rows = ["| method | rate | accuracy | NLL | chosen |", "| --- | --- | --- | --- | --- |"]
    for method in METHODS:
        if (out / f"{method}.rates.json").is_file():
            known = json.loads((out / f"{method}.rates.json").read_text())
            for item in known["tried"]:
                chosen = "yes" if item["rate"] == known["rate"] else ""
                rows.append(
                    f"| {method} | {item['rate']:g} | {item['accuracy']:.3f} | {item['nll']:.3f} | {chosen} |"
                )
    return rows


def place_of(method, rate, seed, out):
    """The last checkpoint of a run that was measured with every axis, or None."""
    path = out / f"{method}-{rate:g}-{seed}"
    if not (path / "overmem" / "manifest.json").is_file():
        return None
    store, manifest = open_audit(path)
    found = Place(store, manifest, manifest["checkpoints"][-1]["name"])
    return found if any(job.kind == "sample" for job in found.jobs()) else None


def table(out, seeds, rate):
    """Each method against nll over the seeds both have, at its own rate or at one given for all."""
    rows = [
        "| method | rate | seeds | "
        + " | ".join(f"{axis} {name}".replace("_", " ") for axis, name in HEADLINES)
        + " |",
        "| --- " * (3 + len(HEADLINES)) + "|",
    ]
    rates = {
        method: rate or json.loads((out / f"{method}.rates.json").read_text())["rate"]
        for method in METHODS
        if rate or (out / f"{method}.rates.json").is_file()
    }
    rates |= dict.fromkeys(AVERAGES, rates["nll"])
    for method, own in rates.items():
        places = {seed: place_of(method, own, seed, out) for seed in seeds}
        against = {seed: place_of("nll", rates["nll"], seed, out) for seed in seeds}
        both = [seed for seed in seeds if places[seed] is not None and against[seed] is not None]
        if not both:
            continue
        pairs = [measure_pair(places[seed], against[seed]) for seed in both]
        costs = compare_measured([a for a, _ in pairs], [b for _, b in pairs], against="nll")
        cells = {(cost.axis, cost.measure): cost for cost in costs}
        said = [describe(cells[key], method) if key in cells else "-" for key in HEADLINES]
        rows.append(f"| {method} | {own:g} | {len(both)} | " + " | ".join(said) + " |")
    return rows


def measure_pair(a, b):
    """Every measure of two places on the problems they share."""
    return [measure_axes(item, tuple(all_axes())) for item in gather([a, b])]


def describe(cost, method):
    """The figure, and for all but nll itself the difference from nll with its interval."""
    if method == "nll":
        return f"{cost.value:.3f}"
    found = cost.difference
    mark = {"better": "**", "worse": "_"}.get(cost.reading, "")
    return f"{cost.value:.3f} {mark}{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f}){mark}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("do", choices=["run", "table"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=[*METHODS, *AVERAGES])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, default=Path("runs/bakeoff"))
    parser.add_argument("--rate", type=float, help="one for all, in place of each one's best")
    options = parser.parse_args()
    if options.do == "table":
        print("\n".join([*rates_table(options.out), "", *table(options.out, options.seeds, options.rate)]))
        return
    quiet_libraries()
    run(options.methods, options.seeds, options.out, options.rate)


if __name__ == "__main__":
    main()
