"""Time and memory of a verdict against its size: checkpoints, problems, resamples, and tokens of an answer.

Each is measured in a process of its own, whose peak of resident memory is shown; one that takes more than
`--most-gb` or `--most-seconds` is ended, and the table says so.

    python -m benchmarks.scale tokens --lengths 1000 8000     # judging 12 checkpoints, 1,319 problems
    python -m benchmarks.scale report --lengths 100 1000 8000     # their page
    python -m benchmarks.scale write --lengths 100 1000 8000      # merging the batches of a checkpoint
    python -m benchmarks.scale judge --checkpoints 12 30 100      # the rule on arrays
    python -m benchmarks.scale bootstrap --problems 400 20000     # a paired difference over problems
    python -m benchmarks.scale proof --problems 400 20000         # of a repair, on accuracy and NLL
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
from tests.helpers.synthetic import TEMPERATURES, write_run

from overmem.artifacts.manifest import MANIFEST_SCHEMA
from overmem.artifacts.store import Store
from overmem.artifacts.tables import SCHEMAS, write_rows_file
from overmem.artifacts.token_sums import with_sums

AT_ONCE = 1 << 18
"""Tokens of one written batch."""
MB = 1e6
ARTIFACTS = ("tokens", "report", "write")
"""What is measured on artifacts, of any length."""


def write_long_run(folder: Path, checkpoints: int, problems: int, length: int) -> None:
    """The artifacts of an audited run whose references have `length` tokens each."""
    write_run(folder, checkpoints=checkpoints, problems=problems, axes=False, train=False, tokenizer=False)
    store = Store(folder / "overmem")
    manifest = store.read_record("manifest", MANIFEST_SCHEMA)
    store.write_record("manifest", manifest | {"axes": [*manifest["axes"], "calibration"]})
    for c in range(checkpoints):
        name = f"checkpoint-{100 * (c + 1)}"
        (store.root / name / "likelihood.parquet").unlink()
        write_batches(folder, name, c / (checkpoints - 1), problems, length)
        store.compact_parts(name, "likelihood")


def write_batches(folder: Path, checkpoint: str, done: float, problems: int, length: int) -> None:
    """The batches of an audit in progress: the likelihood rows of one checkpoint, not merged yet."""
    parts = folder / "overmem" / checkpoint / "likelihood.parts"
    for start in range(0, problems, rows := max(1, AT_ONCE // length)):
        table = long_rows(range(start, min(start + rows, problems)), done, length)
        write_rows_file([table], parts / f"{start:06d}.parquet", "likelihood")


def long_rows(numbers: range, done: float, length: int) -> pl.DataFrame:
    """Likelihood rows as an audit saves them: a sure model that grows surer of its own path."""
    n = len(numbers)
    rng = np.random.default_rng([numbers[0], int(1000 * done)])
    hard_M = rng.random(n * length) < 0.15
    scale_M = np.where(hard_M, (1 + 1.5 * max(0.0, done - 0.35)) * (1 + 2 * np.exp(-9 * done)), 0.02)
    logprob_M = -(rng.standard_exponential(n * length) * scale_M).astype(np.float32)
    is_top1_M = logprob_M > np.log(0.4)
    best_M = np.where(is_top1_M, logprob_M, np.log1p(-np.exp(np.minimum(logprob_M, -1e-6))) / 3).astype(
        np.float32
    )
    scale_G = np.array([1 - 0.2 * (1 - (t - 1.3) ** 2) for t in TEMPERATURES], dtype=np.float32)
    at_M_G = (logprob_M[:, None] * np.where(np.array(TEMPERATURES) == 1.0, 1, scale_G)).astype(np.float32)
    columns = {
        "row_key": pl.repeat("k", n, eager=True),
        "split": pl.repeat("val", n, eager=True),
        "example_id": pl.Series([f"val-{i:05d}" for i in numbers]),
        "example_sha": pl.Series([f"{i:064x}" for i in numbers]),
        "n_tokens": pl.repeat(length, n, dtype=pl.Int64, eager=True),
        "nll_nats": pl.Series(-logprob_M.reshape(n, length).sum(axis=1, dtype=np.float64)),
        "logprob": _lists(logprob_M, length),
        "entropy": _lists(-logprob_M, length),
        "is_top1": _lists(is_top1_M, length),
        "top1_logprob": _lists(best_M, length),
        "mu": _lists(logprob_M, length),
        "sigma": _lists(np.ones_like(logprob_M), length),
        "logprob_at_temperature": _lists(at_M_G, length),
    }
    return with_sums(pl.DataFrame(columns)).select(list(SCHEMAS["likelihood"])).cast(SCHEMAS["likelihood"])


def _lists(value_M: np.ndarray, length: int) -> pl.Series:
    inner = pl.Series(value_M).reshape((-1, length, *value_M.shape[1:]))
    return inner.cast(
        pl.List(pl.List(pl.Float32)) if value_M.ndim == 2 else pl.List(pl.Series(value_M).dtype)
    )


def work(what: str, options: argparse.Namespace) -> None:
    """What is measured, in this process; imports are not."""
    if what in ("tokens", "report"):
        import overmem

        began = time.monotonic()
        overmem.diagnose(options.folder) if what == "tokens" else overmem.report(options.folder)
    elif what == "write":
        store = Store(options.folder / "overmem")
        began = time.monotonic()
        store.compact_parts("checkpoint-100", "likelihood")
    elif what == "judge":
        from overmem import judge

        curves = _curves(options.checkpoints[0], options.problems[0])
        began = time.monotonic()
        judge(*curves, resamples=options.resamples)
    elif what == "proof":
        from overmem.repairing.proof import prove

        sides = _sides(options.problems[0])
        before, after = ({"accuracy": {"greedy": a}, "likelihood": {"nll": b}} for a, b in sides)
        began = time.monotonic()
        prove(before, after, against="checkpoint-1", accuracy_margin=0.03)
    else:
        from overmem.stats.paired import difference

        (_, left), (_, right) = _sides(options.problems[0])
        began = time.monotonic()
        difference([left], [right])
    print(json.dumps({"seconds": time.monotonic() - began}))


def _sides(problems: int) -> list[tuple[Any, Any]]:
    """Accuracy and NLL of two models, as measures."""
    from overmem.stats.measures import mean_measure

    rng = np.random.default_rng(0)
    right_C_N = (rng.random((2, problems)) < 0.8).astype(float)
    nll_C_N = rng.exponential(1.0, (2, problems))
    return [
        (mean_measure("greedy", "higher", "val", right_N), mean_measure("nll", "lower", "val", nll_N))
        for right_N, nll_N in zip(right_C_N, nll_C_N, strict=True)
    ]


def _curves(checkpoints: int, problems: int) -> tuple[list[int], np.ndarray, np.ndarray, np.ndarray]:
    """Steps, answers and NLLs of a run that climbs, stays, and loses perplexity."""
    rng = np.random.default_rng(0)
    done_C = np.linspace(0, 1, checkpoints)[:, None]
    correct_C_N = rng.random(problems) < 0.8 * (1 - np.exp(-12 * done_C)) + 0.03 * rng.standard_normal(
        (checkpoints, problems)
    )
    nll_C_N = rng.exponential(30, problems) * (1 + np.maximum(0, done_C - 0.35) + np.exp(-9 * done_C))
    nll_C_N = nll_C_N * np.exp(0.1 * rng.standard_normal((checkpoints, problems)))
    steps = [100 * (c + 1) for c in range(checkpoints)]
    return steps, correct_C_N.astype(float), nll_C_N, np.full(problems, 60.0)


def measure(words: list[str], options: argparse.Namespace) -> str:
    """Seconds of the work and the peak of its process, or why it was ended."""
    command = [sys.executable, "-m", "benchmarks.scale", *words, "--here"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    began, peak, watched = time.monotonic(), 0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        if peak > options.most_gb * 1e9 or time.monotonic() - began > options.most_seconds:
            process.kill()
            process.wait()
            return f"ended after {time.monotonic() - began:.0f} s at {peak / MB:,.0f} MB"
        time.sleep(0.02)
    out, _ = process.communicate()
    if process.returncode:
        return f"failed with {process.returncode}"
    return f"{json.loads(out.splitlines()[-1])['seconds']:.2f} s | {peak / MB:,.0f} MB"


def main() -> None:
    """Measure each size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=(*ARTIFACTS, "judge", "bootstrap", "proof"))
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 1_000, 8_000])
    parser.add_argument("--checkpoints", type=int, nargs="+", default=[12])
    parser.add_argument("--problems", type=int, nargs="+", default=[1_319])
    parser.add_argument("--resamples", type=int, default=2_000)
    parser.add_argument("--most-gb", type=float, default=12)
    parser.add_argument("--most-seconds", type=float, default=600)
    parser.add_argument("--folder", type=Path, default=None, help="artifacts are kept there, and found again")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        work(options.what, options)
        return
    if options.what in ARTIFACTS:
        _measure_artifacts(options)
        return
    print("checkpoints | problems | seconds | peak")
    for checkpoints in options.checkpoints:
        for problems in options.problems:
            size = ["--checkpoints", str(checkpoints), "--problems", str(problems)]
            size += ["--resamples", str(options.resamples)]
            print(f"{checkpoints} | {problems:,} | {measure([options.what, *size], options)}", flush=True)


def _measure_artifacts(options: argparse.Namespace) -> None:
    checkpoints, problems = options.checkpoints[0], options.problems[0]
    print(f"{options.what}: {problems:,} problems, {checkpoints} checkpoints")
    print("tokens | on disk | seconds | peak")
    with tempfile.TemporaryDirectory() as temporary:
        for length in options.lengths:
            folder = (options.folder or Path(temporary)) / f"{options.what}-{length}"
            if options.what == "write":
                write_batches(folder, "checkpoint-100", 1.0, problems, length)
            elif not (folder / "overmem" / "manifest.json").is_file():
                write_long_run(folder, checkpoints, problems, length)
            disk = sum(file.stat().st_size for file in folder.rglob("*.parquet"))
            if options.what == "report":
                print(f"{length:,} | verdict first: {measure(['tokens', '--folder', str(folder)], options)}")
            found = measure([options.what, "--folder", str(folder)], options)
            print(f"{length:,} | {disk / MB:,.0f} MB | {found}", flush=True)


if __name__ == "__main__":
    main()
