"""Many devices: training on two processes equals one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml
from safetensors.torch import load_file

from overmem.training.recipe import check_recipe
from overmem.training.trainer import train
from tests.conftest import VAL_ROWS, make_pico, save_checkpoint

ALONE = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
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
