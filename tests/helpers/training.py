"""What tests of training share: rows a model has drawn itself, quiet arguments, and two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from datasets import Dataset

from tests.helpers.paths import SRC

QUIET = {
    "logging_steps": 1,
    "report_to": "none",
    "save_strategy": "no",
    "use_cpu": True,
    "bf16": False,
    "disable_tqdm": True,
    "dataloader_pin_memory": False,
}
"""For any Trainer on a CPU: a log entry a step, and nothing else left behind."""
QUIET_SFT = QUIET | {"max_length": None, "gradient_checkpointing": False}
"""The same for TRL's."""


def draw_rows(model, lengths) -> Dataset:
    """Completions drawn from the model itself, so that their probabilities lie anywhere in (0, 1).

    Args:
        model: whose probabilities.
        lengths: tokens of prompt and completion, a pair a row.
    """
    chance = torch.Generator().manual_seed(0)
    rows = []
    for prompt, completion in lengths:
        ids = torch.randint(3, 700, (1, prompt), generator=chance)
        while ids.shape[1] < prompt + completion:
            with torch.no_grad():
                p = model(ids).logits[:, -1].softmax(-1)
            ids = torch.cat([ids, p.multinomial(1, generator=chance)], dim=1)
        ids = ids[0].tolist()
        rows.append({"input_ids": ids, "labels": [-100] * prompt + ids[prompt:]})
    return Dataset.from_list(rows)


def run_in_two_processes(script: str, folder: Path) -> str:
    """Run a script, given the folder, as torchrun does on two processes; what it wrote to standard error."""
    (folder / "two.py").write_text(script)
    launched = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone",
         str(folder / "two.py"), str(folder)],
        capture_output=True, text=True, timeout=280,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SRC)},
    )  # fmt: skip
    assert launched.returncode == 0, launched.stderr[-4000:]
    return launched.stderr
