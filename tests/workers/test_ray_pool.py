"""Many devices: training on two processes equals one, and an audit by two workers equals one by a loop."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml
from safetensors.torch import load_file

import overmem
from overmem.artifacts.store import SCHEMAS, Store
from overmem.recipe.schema import check_recipe
from overmem.training.trainer import train
from tests.conftest import VAL_ROWS, make_pico, save_checkpoint
from tests.helpers.paths import SRC

ALONE = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SRC)}
LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1",
          "--mixed_precision=no", "--dynamo_backend=no"]  # fmt: skip


def python(*words, **environment):
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=280, env=ALONE | environment
    )


def test_two_processes_train_as_one(tmp_path, tokenizer):
    save_checkpoint(tmp_path / "base", make_pico(tokenizer, seed=0), tokenizer, 0)
    rows = [row | {"id": f"{turn}/{row['id']}"} for turn in range(2) for row in VAL_ROWS]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "model": {"name": str(tmp_path / "base")},
        "data": {"train": str(tmp_path / "data.jsonl"), "val": str(tmp_path / "data.jsonl[:6]")},
        "output": "",
        "save_base": True,
        # A run of six steps is too short for the default bound, by the clock.
        "monitor": {"max_cost": None},
        "training": {"num_train_epochs": 2, "per_device_train_batch_size": 8, "learning_rate": 3e-3,
                     "logging_steps": 1, "bf16": False, "use_cpu": True, "gradient_checkpointing": False,
                     "dataloader_pin_memory": False, "save_only_model": True},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    outputs = [tmp_path / "one", tmp_path / "two"]
    train(check_recipe(recipe | {"output": str(outputs[0])}, "test"))
    batch = "training.per_device_train_batch_size=4"
    command = ["-m", "overmem", "train", str(tmp_path / "recipe.yaml"), "--output", str(outputs[1])]
    done = python(*LAUNCH, *command, "--set", batch)
    assert done.returncode == 0, done.stderr[-3000:]
    # Said once, whatever the number of processes.
    for said in ("trained:", "training: step 6/6", "monitor: step 6"):
        assert done.stdout.count(said) == 1, done.stdout
    files = [sorted(path.relative_to(run) for path in run.rglob("*")) for run in outputs]
    assert files[0] == files[1]
    # Three steps an epoch of 24 rows: four rows on each of two processes.
    for name in ("checkpoint-0", "checkpoint-3", "checkpoint-6"):
        one, two = (load_file(run / name / "model.safetensors") for run in outputs)
        assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-5
    logs = [json.loads((run / "checkpoint-6" / "trainer_state.json").read_text()) for run in outputs]
    one, two = ([row["loss"] for row in log["log_history"] if "loss" in row] for log in logs)
    assert len(one) == 6 and max(abs(a - b) for a, b in zip(one, two, strict=True)) < 1e-5
    assert one[-1] < one[0]


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
    audit = ["-m", "overmem", "audit", str(pico_run), "--val", str(val_file), "--workers", "2", *options]
    paths = {"PYTHONPATH": f"{ALONE['PYTHONPATH']}:{tmp_path}", "GRADED": str(tmp_path / "graded-shared")}
    running = subprocess.Popen(
        [sys.executable, *audit], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ALONE | paths
    )
    assert kill_a_worker(shared, running), running.communicate()
    said, problems = running.communicate(timeout=200)
    assert running.returncode == 0 and "audited:" in said, problems[-3000:]
    for checkpoint in CHECKPOINTS:
        for rows in SCHEMAS:
            expected, got = (Store(root).read_rows(checkpoint, rows) for root in (alone, shared))
            assert len(expected) > 0 and got.equals(expected), (checkpoint, rows)
    # Graded once more: the two samples of the problem that was in flight, at most.
    counts = [(tmp_path / name).stat().st_size for name in ("graded-alone", "graded-shared")]
    assert 0 <= counts[1] - counts[0] <= 2, counts
    records = [json.loads((root / "manifest.json").read_text()) for root in (alone, shared)]
    assert records[0]["checkpoints"] == records[1]["checkpoints"]
    left = [path.name for path in shared.rglob("*") if path.suffix not in {".json", ".parquet"}]
    assert sorted(left) == sorted(CHECKPOINTS)
