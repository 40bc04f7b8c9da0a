"""Measure how well the stated confidence of a stage matches the share that is right.

For every generator, number of problems and number of checkpoints: simulate runs whose truth is known,
give every checkpoint a stage by the package's posterior and by the plain percentile bootstrap, and
compare confidence with truth. Writes `cells.csv`, `results.json`, `table.md` and a plot.

    OMP_NUM_THREADS=1 python -m benchmarks.calibration.run --runs 100 --seed 2026

Shape suffixes: C checkpoints, N problems, D draws, J judgements (one checkpoint of one run).
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.calibration.generators import HELD_OUT, STRESS, TUNING, Generator, Simulated
from benchmarks.calibration.ugly import UGLY_AFTER, UGLY_BEFORE
from benchmarks.calibration.unseen import UNSEEN

from overmem.rule import Rule
from overmem.stats import stage_rule as rules
from overmem.stats.curves.posterior import Curves
from overmem.stats.intervals import accuracy_estimate, nll_estimate
from overmem.stats.moments import measure_curves
from overmem.stats.stage_draws import draw_stages

FloatArray = npt.NDArray[np.float64]
PROBLEMS = (100, 400, 1319)
CHECKPOINTS = (4, 12, 40)
RUNS_FACTOR = {4: 2.0, 12: 1.0, 40: 0.5}
"""Runs with few checkpoints give fewer judgements, so more of them are simulated."""
MARGIN, RATIO, THRESHOLD, DRAWS = 0.03, 1.10, 0.8, 1000
PLOT_COLUMNS = 5
METHODS = ("overmem", "bootstrap")
GROUPS = {
    "tuning": TUNING,
    "held-out": HELD_OUT,
    "stress": STRESS,
    "ugly, before": UGLY_BEFORE,
    "ugly, after": UGLY_AFTER,
    "unseen": UNSEEN,
}


def calibration_error(confidence_J: FloatArray, right_J: FloatArray) -> float:
    """Expected calibration error: 10 equal-width bins, weighted by count."""
    bin_J = np.minimum((confidence_J * 10).astype(int), 9)
    gaps = [abs((right_J[bin_J == b] - confidence_J[bin_J == b]).sum()) for b in range(10)]
    return float(sum(gaps) / confidence_J.size)


def noise_floor(confidence_J: FloatArray, seed: int) -> float:
    """Calibration error that perfect confidences would show with as many independent judgements."""
    rng = np.random.default_rng(seed)
    return float(
        np.mean(
            [calibration_error(confidence_J, rng.random(confidence_J.size) < confidence_J) for _ in range(20)]
        )
    )


def bootstrap_curves(run: Simulated, rng: np.random.Generator) -> Curves:
    """Draw curves by resampling problems: the plain percentile bootstrap."""
    n = run.n_tokens_N.size
    weight_D_N = rng.multinomial(n, np.full(n, 1 / n), DRAWS // 2).astype(float)
    tokens_D_1 = (weight_D_N @ run.n_tokens_N)[:, None]
    return Curves(
        accuracy_D_C=weight_D_N @ run.correct_C_N.T / n, nll_D_C=weight_D_N @ run.nll_nats_C_N.T / tokens_D_1
    )


def judge_curves(curves: Curves, run: Simulated, temperature: float) -> dict[str, FloatArray]:
    """Confidence and correctness of every stage, and coverage of 95% intervals, for one run."""
    codes_D_C = rules.stage_codes(
        curves.accuracy_D_C, curves.nll_D_C, run.steps_C, Rule(accuracy_margin=MARGIN, perplexity_ratio=RATIO)
    )
    truth = rules.stage_codes(
        run.accuracy_C[None],
        run.nll_C[None],
        run.steps_C,
        Rule(accuracy_margin=MARGIN, perplexity_ratio=RATIO),
    )
    probability_C_S = rules.stage_probabilities(codes_D_C, temperature)
    loss_D_C = curves.accuracy_D_C.max(axis=1, keepdims=True) - curves.accuracy_D_C
    low_C, high_C = np.quantile(loss_D_C, (0.025, 0.975), axis=0)
    true_loss_C = run.accuracy_C.max() - run.accuracy_C
    onset_D = rules.onset_steps(codes_D_C, run.steps_C)
    found_D = onset_D[onset_D != rules.NO_ONSET]
    true_onset = int(rules.onset_steps(truth, run.steps_C)[0])
    onset = np.array([])
    if true_onset != rules.NO_ONSET and found_D.size >= onset_D.size / 2:
        low, high = np.quantile(found_D, (0.025, 0.975), method="inverted_cdf")
        onset = np.array([float(low <= true_onset <= high)])
    return {
        "confidence": probability_C_S.max(axis=1),
        "right": (probability_C_S.argmax(axis=1) == truth[0]).astype(float),
        "loss_covered": ((low_C <= true_loss_C + 1e-12) & (true_loss_C <= high_C + 1e-12)).astype(float),
        "onset_covered": onset,
    }


def judge_run(run: Simulated, rng: np.random.Generator) -> dict[str, dict[str, FloatArray]]:
    """Judge one simulated run by both methods; the package also gets its interval coverage."""
    moments = measure_curves(run.correct_C_N, run.nll_nats_C_N, run.n_tokens_N)
    rule = Rule(accuracy_margin=MARGIN, perplexity_ratio=RATIO, resamples=DRAWS)
    ours = judge_curves(draw_stages(moments, run.steps_C, rule).curves, run, rules.TEMPERATURE)
    accuracy = [accuracy_estimate(moments, c) for c in range(run.steps_C.size)]
    nll = [nll_estimate(moments, c) for c in range(run.steps_C.size)]
    ours["accuracy_covered"] = np.array(
        [float(e.low <= a <= e.high) for e, a in zip(accuracy, run.accuracy_C, strict=True)]
    )
    ours["nll_covered"] = np.array([float(e.low <= p <= e.high) for e, p in zip(nll, run.nll_C, strict=True)])
    return {"overmem": ours, "bootstrap": judge_curves(bootstrap_curves(run, rng), run, 1.0)}


def hash_of(n: int, checkpoints: int, k: int) -> float:
    """A number that names a run of a generator."""
    return float((n * 1000 + checkpoints) * 10_000 + k)


def run_cell(generator: Generator, key: list[int], n: int, checkpoints: int, runs: int) -> dict[str, Any]:
    """Pool the judgements of one cell; each run has its own seed."""
    pooled: dict[str, dict[str, list[FloatArray]]] = {method: {} for method in METHODS}
    for k in range(runs):
        rng = np.random.default_rng([*key, n, checkpoints, k])
        for method, judged in judge_run(generator(rng, n, checkpoints), rng).items():
            judged["run"] = np.full(checkpoints, hash_of(n, checkpoints, k))
            for name, values in judged.items():
                pooled[method].setdefault(name, []).append(values)
    return {m: {name: np.concatenate(v) for name, v in parts.items()} for m, parts in pooled.items()}


def summarise(parts: dict[str, FloatArray]) -> dict[str, float]:
    """Figures of one cell or pool for one method."""
    confidence_J, right_J = parts["confidence"], parts["right"]
    given_J = confidence_J >= THRESHOLD
    _, run_J = np.unique(parts["run"], return_inverse=True)
    given_R = np.bincount(run_J, weights=given_J)
    wrong_R = np.bincount(run_J, weights=given_J * (1 - right_J))
    wrong = float(wrong_R.sum() / max(given_R.sum(), 1))
    figures = {
        "wrong_where_given": wrong,
        # Stages of one run are not independent, so runs are the unit.
        "wrong_se": float(np.sqrt(((wrong_R - wrong * given_R) ** 2).sum()) / max(given_R.sum(), 1)),
        "judgements": float(confidence_J.size),
        "ece": calibration_error(confidence_J, right_J),
        "floor": noise_floor(confidence_J, 0),
        "mean_confidence": float(confidence_J.mean()),
        "share_right": float(right_J.mean()),
        "share_given": float(given_J.mean()),
        "right_where_given": float(right_J[given_J].mean()) if given_J.any() else float("nan"),
        "confidence_where_given": float(confidence_J[given_J].mean()) if given_J.any() else float("nan"),
    }
    for name, values in parts.items():
        if name.endswith("_covered"):
            figures[name] = float(values.mean()) if values.size else float("nan")
    return figures


def reliability(parts: dict[str, FloatArray]) -> list[dict[str, float]]:
    """Mean confidence, share right and count of each bin."""
    bin_J = np.minimum((parts["confidence"] * 10).astype(int), 9)
    return [
        {
            "confidence": float(parts["confidence"][bin_J == b].mean()),
            "right": float(parts["right"][bin_J == b].mean()),
            "count": int((bin_J == b).sum()),
        }
        for b in range(10)
        if (bin_J == b).any()
    ]


def run_generator(name: str, generator: Generator, runs: int, seed: int) -> dict[str, Any]:
    """All cells of one generator, and their pool."""
    started = time.perf_counter()
    key = [seed, zlib.crc32(name.encode())]
    cells: list[dict[str, Any]] = []
    pools: dict[str, list[dict[str, FloatArray]]] = {method: [] for method in METHODS}
    for n in PROBLEMS:
        for checkpoints in CHECKPOINTS:
            judged = run_cell(generator, key, n, checkpoints, max(1, round(runs * RUNS_FACTOR[checkpoints])))
            for method in METHODS:
                figures = summarise(judged[method])
                cells.append({"method": method, "n": n, "checkpoints": checkpoints, **figures})
                pools[method].append(judged[method])
            ours, plain = cells[-2]["ece"], cells[-1]["ece"]
            print(
                f"{name:14s} n={n:5d} C={checkpoints:3d} ECE {ours:.3f} (bootstrap {plain:.3f})", flush=True
            )
    pooled = {m: {k: np.concatenate([p[k] for p in pools[m]]) for k in pools[m][0]} for m in METHODS}
    return {
        "cells": cells,
        "pooled": {m: summarise(pooled[m]) for m in METHODS},
        "reliability": {m: reliability(pooled[m]) for m in METHODS},
        "seconds": time.perf_counter() - started,
    }


def write_table(results: dict[str, Any]) -> str:
    """Markdown table of the pooled figures with the worst cell of each generator."""
    lines = [
        "| generator | set | ECE | given at >= 0.8 | wrong where given (s.e.) | stated | bootstrap: ECE "
        "| given | wrong | stated | worst cell (floor) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, result in results["generators"].items():
        ours, plain = result["pooled"]["overmem"], result["pooled"]["bootstrap"]
        worst = max((c for c in result["cells"] if c["method"] == "overmem"), key=lambda c: c["ece"])
        lines.append(
            f"| {name} | {result['group']} | **{ours['ece']:.3f}** | {ours['share_given']:.2f} "
            f"| {ours['wrong_where_given']:.3f} ({ours['wrong_se']:.3f}) "
            f"| {1 - ours['confidence_where_given']:.3f} | {plain['ece']:.3f} | {plain['share_given']:.2f} "
            f"| {plain['wrong_where_given']:.3f} | {1 - plain['confidence_where_given']:.3f} "
            f"| {worst['ece']:.3f} ({worst['floor']:.3f}), n={worst['n']}, C={worst['checkpoints']} |"
        )
    return "\n".join(lines) + "\n"


def draw_plot(results: dict[str, Any], path: Path) -> None:
    """Reliability diagram of every generator: share right against stated confidence."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = results["generators"]
    rows = -(-len(shown) // PLOT_COLUMNS)
    size = (3.0 * PLOT_COLUMNS, 3.0 * rows)
    figure, axes = pyplot.subplots(rows, PLOT_COLUMNS, figsize=size, sharey=True, squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    for axis, (name, result) in zip(axes.flat, shown.items(), strict=False):
        axis.plot([0.2, 1], [0.2, 1], color="0.7", linewidth=1)
        for method, style in (("bootstrap", "s--"), ("overmem", "o-")):
            bins = [b for b in result["reliability"][method] if b["count"] >= 30]
            label = f"{method}, ECE {result['pooled'][method]['ece']:.3f}"
            colour = "#c0504d" if method == "bootstrap" else "#1f5c99"
            places, shares = [b["confidence"] for b in bins], [b["right"] for b in bins]
            axis.plot(places, shares, style, color=colour, markersize=4, linewidth=1.2, label=label)
        axis.set_title(f"{name} ({result['group']})", fontsize=9)
        axis.legend(fontsize=7, loc="upper left", frameon=False)
        axis.set_xlim(0.17, 1.03)
        axis.set_xlabel("stated confidence", fontsize=8)
    for axis in axes[:, 0]:
        axis.set_ylabel("share right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def shorten(value: Any) -> Any:
    """Four digits for floats, the rest as it is."""
    return f"{value:.4g}" if isinstance(value, float) else value


def save(results: dict[str, Any], out: Path) -> None:
    """Write everything known so far, so that a stopped benchmark keeps what it has."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "table.md").write_text(write_table(results))
    rows = [
        {"generator": name, "group": result["group"], **cell}
        for name, result in results["generators"].items()
        for cell in result["cells"]
    ]
    with (out / "cells.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows({key: shorten(value) for key, value in row.items()} for row in rows)


def load_results(out: Path, runs: int, seed: int) -> dict[str, Any]:
    """Results already in the folder with the same settings, or an empty record."""
    path = out / "results.json"
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        if (found["runs"], found["seed"]) == (runs, seed):
            return found
    machine = f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}"
    return {"seed": seed, "runs": runs, "machine": machine, "generators": {}}


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=100, help="simulated runs a cell at 12 checkpoints")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--only", nargs="*", help="generators to run (none: only table and plot)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--plot", type=Path, help="PNG of the reliability diagrams")
    arguments = parser.parse_args()
    results = load_results(arguments.out, arguments.runs, arguments.seed)
    for group, members in GROUPS.items():
        for name, generator in members.items():
            if arguments.only is None or name in arguments.only:
                result = run_generator(name, generator, arguments.runs, arguments.seed)
                results["generators"][name] = {"group": group, **result}
                save(results, arguments.out)
    save(results, arguments.out)
    if arguments.plot is not None:
        draw_plot(results, arguments.plot)
    print(write_table(results))


if __name__ == "__main__":
    main()
