"""Write the logs of one tiny HF Trainer run with the trackers themselves, for the readers to be held against.

`python -m tests.helpers.tracker_logs OUT [KEEP]` needs wandb, mlflow, tensorboard, trackio, nbclient and
ipykernel, in an environment of their own; nothing leaves the machine. It writes below OUT, each by its own
tool: `hf/` (its trainer_state.json, the truth), `tensorboard/`, `wandb/`, `mlruns/`, `mlflow.db`, `trackio/`,
`notebook.ipynb` and `console.txt` (both streams of a run with progress bars). `tests/logs/formats/written/`
holds what `keep` leaves of its output of 2026-11-29 (wandb 0.31, mlflow 3.17, tensorboard 2.21, trackio 0.43,
transformers 5.24), databases as the SQL of the tables that are read, of MLflow's parameters three; and what
LLaMA-Factory 0.9.5's `LogCallback` wrote as a callback of the same run.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

TRAINING = """
import sys, torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

def train(out, report_to, eval_strategy="epoch", **options):
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=32,
        num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=16))
    ids = torch.randint(0, 32, (32, 8), generator=torch.Generator().manual_seed(0))
    rows = [{"input_ids": row, "labels": row} for row in ids]
    def accuracy(found):
        return {"accuracy": float((found.predictions[:, :-1].argmax(-1) == found.label_ids[:, 1:]).mean())}
    arguments = TrainingArguments(output_dir=out, report_to=report_to, num_train_epochs=3, logging_steps=2,
        per_device_train_batch_size=4, per_device_eval_batch_size=4, eval_strategy=eval_strategy,
        save_strategy="no", learning_rate=0.05, seed=0, use_cpu=True, run_name="tiny",
        **options)
    trainer = Trainer(model=model, args=arguments, train_dataset=rows[:24], eval_dataset=rows[24:],
        compute_metrics=accuracy)
    trainer.train()
    trainer.state.save_to_json(out + "/trainer_state.json")
"""


def write_logs(out: Path) -> None:
    """Train the same tiny model once for all trackers, once on a console and once in a notebook."""
    import nbclient
    import nbformat

    out.mkdir(parents=True)
    environment = os.environ | {
        "WANDB_MODE": "offline", "WANDB_DIR": str(out), "WANDB_SILENT": "true", "WANDB_DISABLE_GIT": "true",
        "WANDB_X_DISABLE_STATS": "true", "WANDB_X_DISABLE_META": "true", "WANDB_PROJECT": "tiny",
        "WANDB_CONSOLE": "off", "WANDB_DISABLE_CODE": "true",
        "MLFLOW_TRACKING_URI": str(out / "mlruns"), "MLFLOW_ALLOW_FILE_STORE": "true",
        "TRACKIO_DIR": str(out / "trackio"), "TENSORBOARD_LOGGING_DIR": str(out / "tensorboard"),
        "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    trackers = ["tensorboard", "wandb", "mlflow", "trackio"]
    _run(TRAINING + f"train({str(out / 'hf')!r}, {trackers!r})", environment)
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{out / 'mlflow.db'}"
    _run(TRAINING + f"train({str(out / 'hf_sqlite')!r}, ['mlflow'])", environment)
    printed = _run(TRAINING + f"train({str(out / 'hf_console')!r}, [])", environment)
    (out / "console.txt").write_bytes(printed)
    cells = [TRAINING, f"train({str(out / 'hf_notebook')!r}, [])"]
    cells.append(f"train({str(out / 'hf_steps')!r}, [], eval_strategy='steps', eval_steps=4)")
    cells.append(f"train({str(out / 'hf_no_eval')!r}, [], eval_strategy='no')")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute()
    nbformat.write(book, out / "notebook.ipynb")


def _run(program: str, environment: dict[str, str]) -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        raise SystemExit(done.stdout.decode()[-4000:])
    return done.stdout


def keep(out: Path, target: Path) -> None:
    """Copy what the tests read, small."""
    for state in sorted(out.glob("hf*/trainer_state.json")):
        shutil.copy(state, target / f"{state.parent.name}.json")
    for name in ("notebook.ipynb", "console.txt"):
        shutil.copy(out / name, target / name)
    (events,) = (out / "tensorboard").iterdir()
    shutil.copy(events, target / "events.out.tfevents.1795986438.vm.19124.0")
    (run,) = out.glob("wandb/offline-run-*/*.wandb")
    shutil.copy(run, target / run.name)
    _dump(out / "mlflow.db", target / "mlflow.sql", ("runs", "metrics", "params"))
    (project,) = out.glob("trackio/*.db")
    _dump(project, target / "trackio.sql", ("metrics", "configs"))
    (store,) = out.glob("mlruns/0/*/")
    kept = target / "mlruns" / "0" / store.name
    shutil.copytree(store / "metrics", kept / "metrics")
    (kept / "params").mkdir()
    for name in ("num_train_epochs", "max_steps", "learning_rate"):
        shutil.copy(store / "params" / name, kept / "params" / name)
    shutil.copy(store / "meta.yaml", kept / "meta.yaml")
    shutil.copy(out / "mlruns" / "0" / "meta.yaml", target / "mlruns" / "0" / "meta.yaml")


def _dump(database: Path, target: Path, tables: tuple[str, ...]) -> None:
    """The SQL that makes some tables of a database."""
    with closing(sqlite3.connect(database)) as whole, closing(sqlite3.connect(":memory:")) as part:
        for table in tables:
            columns = ", ".join(f'"{row[1]}"' for row in whole.execute(f"pragma table_info({table})"))
            part.execute(f"create table {table} ({columns})")
            rows = whole.execute(f"select * from {table}").fetchall()
            part.executemany(f"insert into {table} values ({', '.join('?' * len(rows[0]))})", rows)
        target.write_text("\n".join(part.iterdump()) + "\n")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    shutil.rmtree(target, ignore_errors=True)
    write_logs(target.resolve())
    if len(sys.argv) > 2:
        keep(target.resolve(), Path(sys.argv[2]))
