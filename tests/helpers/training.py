"""What tests of training share: rows a model has drawn itself, quiet arguments, and two processes."""

from __future__ import annotations

from pathlib import Path

import torch
from datasets import Dataset

from tests.helpers.command import run_python
from tests.helpers.processes import ALONE

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


RANKS = """
import os, runpy, socket, sys, traceback

with socket.create_server(("127.0.0.1", 0)) as free:
    port = str(free.getsockname()[1])
os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
sys.argv = sys.argv[1:]
ranks = []
for rank in "01":
    ranks.append(os.fork())
    if not ranks[-1]:
        os.environ |= {"RANK": rank, "LOCAL_RANK": rank}
        code = 1
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
            code = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
sys.exit(any([os.waitpid(rank, 0)[1] for rank in ranks]))
"""
"""What torchrun does on one machine, without importing everything three times."""


def run_in_two_processes(script: str, folder: Path) -> str:
    """Run a script, given the folder, as torchrun does on two processes; what it wrote to standard error."""
    (folder / "two.py").write_text(script)
    launched = run_python("-c", RANKS, folder / "two.py", folder, env=ALONE, timeout=280)
    assert launched.returncode == 0, launched.stderr[-4000:]
    return launched.stderr
