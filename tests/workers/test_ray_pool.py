"""Ray's workers: where they are, how many, and that one killed midway costs its batch alone.

Covers: overmem.workers.progress_queue
"""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

import overmem
from overmem.artifacts.store import Store
from overmem.artifacts.tables import SCHEMAS
from tests.conftest import make_pico, save_checkpoint
from tests.helpers.planted import plant_code
from tests.helpers.processes import ALONE

CHECKPOINTS = ("checkpoint-10", "checkpoint-20", "checkpoint-30", "checkpoint-100")
SLOW = """
import os, time

def grade(text, example):
    with open(os.environ["GRADED"], "a") as log:
        log.write("x")
    time.sleep(0.02)
    return len(text) % 2 == 0
"""


def kill_a_worker(store, running):
    """Kill one in the midst of a checkpoint's samples; who saved a batch is in the batch's name."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.005)
        for folder in store.glob("*/generations.parts"):
            parts = list(folder.glob("*.parquet"))
            if len(parts) < 5:
                continue
            # The newest: the plan has timed a first batch, perhaps on the other worker.
            worker = int(max(path.stem for path in parts).partition("-")[2])
            os.kill(worker, signal.SIGSTOP)
            # Stopped, it is seen whether it is still at it: the twelfth batch is the last.
            midway = 5 <= len(list(folder.glob("*.parquet"))) < 12
            os.kill(worker, signal.SIGKILL if midway else signal.SIGCONT)
            if midway:
                return True
    return False


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_worker_killed_midway_costs_nothing_but_its_batch(
    pico_run, tokenizer, val_file, tmp_path, monkeypatch
):
    pytest.importorskip("ray", reason="Ray is not installed")
    save_checkpoint(pico_run / "checkpoint-30", make_pico(tokenizer, seed=30), tokenizer, 30)
    (tmp_path / "slow.py").write_text(SLOW)
    alone, shared = tmp_path / "alone", pico_run / "overmem"
    given = {"train": str(val_file), "grader": "python:slow:grade", "checkpoints": "all"}
    given |= {"axes": "diversity,recall", "samples": 2, "max_new_tokens": 8, "batch_tokens": 25}
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        patch.setenv("GRADED", str(tmp_path / "graded-alone"))
        torch.set_num_threads(1)
        overmem.audit(pico_run, val=str(val_file), out=alone, **given | {"axes": ("diversity", "recall")})
    options = [word for key, value in given.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    audit = [
        "-m",
        "overmem",
        "audit",
        str(pico_run),
        "--val",
        str(val_file),
        "--workers",
        "2",
        "--only-measure",
        *options,
    ]
    paths = {"PYTHONPATH": f"{ALONE['PYTHONPATH']}:{tmp_path}", "GRADED": str(tmp_path / "graded-shared")}
    running = subprocess.Popen(
        [sys.executable, *audit], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ALONE | paths
    )
    assert kill_a_worker(shared, running), running.communicate()
    said, problems = running.communicate(timeout=200)
    assert running.returncode == 0 and "audited:" in said, problems[-3000:]
    for checkpoint in CHECKPOINTS:
        for rows in set(SCHEMAS) - {"divergences"}:  # which need a base model
            expected, got = (Store(root).read_rows(checkpoint, rows) for root in (alone, shared))
            assert len(expected) > 0 and got.equals(expected), (checkpoint, rows)
    # Graded once more: the two samples of the problem that was in flight, at most.
    counts = [(tmp_path / name).stat().st_size for name in ("graded-alone", "graded-shared")]
    assert 0 <= counts[1] - counts[0] <= 2, counts
    records = [json.loads((root / "manifest.json").read_text()) for root in (alone, shared)]
    assert records[0]["checkpoints"] == records[1]["checkpoints"]
    left = [path.name for path in shared.rglob("*") if path.suffix not in {".json", ".parquet"}]
    assert sorted(left) == sorted(CHECKPOINTS)


@pytest.mark.exhaustive
def test_workers_import_nothing_of_the_current_folder(pico_run, val_file, tmp_path):
    """Ray puts the folder that it is started from on its workers' path."""
    pytest.importorskip("ray", reason="Ray is not installed")
    for name in ("polars", "yaml", "safetensors", "json"):
        plant_code(pico_run, tmp_path / "ran", f"{name}.py")
    audit = ["-m", "overmem", "audit", ".", "--val", str(val_file), "--workers", "1", "--limit", "4"]
    done = subprocess.run(
        [sys.executable, *audit, "--max-new-tokens", "4"],
        cwd=pico_run, env=ALONE, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0 and "audited:" in done.stdout, done.stderr[-3000:]
    assert not (tmp_path / "ran").exists()
