"""What cases change: runs, audits, adapters, a base, data, recipes, logs and results of other tools."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
from pathlib import Path

from tests.conftest import VAL_ROWS, make_pico, save_checkpoint
from tests.helpers.results import lm_eval_sample, write_lm_eval
from tests.helpers.written_logs import WRITTEN, make_database

STEPS = (10, 20, 100)
SMALL = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "max_position_embeddings": 128}
AUDIT = ("--train", "train.jsonl", "--axes", "likelihood,accuracy,diversity,privacy", "--samples", "2")
"""Of the saved audit, beside `--val val.jsonl --max-new-tokens 2`; the same again computes nothing."""
RECIPE = """\
model: {name: base}
data: {train: train.jsonl, val: val.jsonl}
method: lora
lora: {r: 2}
loss: nll
output: out
seed: 0
training: {num_train_epochs: 1, per_device_train_batch_size: 4, learning_rate: 1.0e-3, bf16: false}
"""
SWEEP = """\
recipe: recipe.yaml
output: sweep
set: {monitor: false, save_base: false}
grid: {training.learning_rate: [1.0e-4, 8.0e-4], seed: [0, 1]}
audit: {axes: [likelihood, accuracy], limit: 4}
rule: {accuracy_margin: 0.03}
"""
GRADER = "def judge(text, example):\n    return example.answer in text\n"
TEMPLATE = """\
def render(example, tokenizer):
    ids = tokenizer(example.prompt + example.completion)["input_ids"]
    asked = len(tokenizer(example.prompt)["input_ids"])
    return {"input_ids": ids, "labels": [-100] * asked + ids[asked:]}
"""
CHAT = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
LLAMAFACTORY = """\
model_name_or_path: ../base
stage: sft
dataset: mine
dataset_dir: .
template: default
cutoff_len: 64
"""
SETTINGS = """\
val: val.jsonl
train: train.jsonl
axes: [likelihood, accuracy]
limits: {accuracy: 2}
limit: 3
max_new_tokens: 2
device: cpu
template: {kind: plain, eos: true}
rule: {accuracy_margin: 0.03}
"""
"""An `overmem.yaml`."""
CARD = """\
---
base_model: base
library_name: peft
---
# A model

axolotl version: `0.4`
```yaml
base_model: base
```
"""


def make_material(folder: Path) -> None:
    """Make everything in an empty folder, which becomes the current one; takes seconds.

    Everything is named relative to it, so that a copy of the folder means the same.
    """
    from transformers import AutoTokenizer

    import overmem
    from overmem.recipe.base_model import ORGANISM
    from tests.helpers.adapters import foreign_checkpoint

    os.chdir(folder)
    tokenizer = AutoTokenizer.from_pretrained(ORGANISM)
    for step in STEPS:
        path = Path("bare") / f"checkpoint-{step}"
        save_checkpoint(path, make_pico(tokenizer, seed=step, **SMALL), tokenizer, step)
        log = [{"step": s, "epoch": s / 10, "eval_loss": 1 + s / 50, "loss": 1.0} for s in STEPS if s <= step]
        state = {"global_step": step, "epoch": step / 10, "log_history": log}
        (path / "trainer_state.json").write_text(json.dumps(state))
    for step in STEPS[:2]:
        path = Path("sharded") / f"checkpoint-{step}"
        save_checkpoint(path, make_pico(tokenizer, seed=step, **SMALL), tokenizer, step)
        (path / "model.safetensors").unlink()
        make_pico(tokenizer, seed=step, **SMALL).save_pretrained(path, max_shard_size="2KB")
    save_checkpoint(Path("base"), make_pico(tokenizer, seed=0, **SMALL), tokenizer, 0)
    for step in STEPS[:2]:
        foreign_checkpoint(Path("adapters"), Path("base"), step, tokenizer)
    _write_data()
    _write_results()
    _write_logs()
    for name, text in (
        *(("recipe.yaml", RECIPE), ("sweep.yaml", SWEEP), ("grader.py", GRADER), ("template.py", TEMPLATE)),
        *(("chat.jinja", CHAT), ("foreign/train.yaml", LLAMAFACTORY), ("foreign/README.md", CARD)),
        ("settings.yaml", SETTINGS),
    ):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    shutil.copytree("bare/checkpoint-10", "foreign/checkpoint-10")
    shutil.copytree("bare", "run")
    overmem.audit(
        *("run",),
        val="val.jsonl",
        train="train.jsonl",
        axes=AUDIT[3],
        samples=2,
        max_new_tokens=2,
        device="cpu",
    )
    overmem.diagnose("run")
    _write_repair()
    overmem.report("run")


def _write_data() -> None:
    """Problems in every form and shape that is read."""
    import polars as pl

    train = [
        {**row, "id": f"t{i}", "prompt": f"Other {i}: {row['prompt']}", "answer": str(100 + i)}
        for i, row in enumerate(VAL_ROWS)
    ]
    for name, rows in (("val", VAL_ROWS), ("train", train)):
        _lines(Path(f"{name}.jsonl"), rows)
        Path(f"{name}.json").write_text(json.dumps(rows))
        pl.DataFrame(rows).write_parquet(f"{name}.parquet")
        with Path(f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    turns = [[("user", row["prompt"]), ("assistant", row["completion"])] for row in VAL_ROWS]
    shapes = {
        "messages": [{"messages": [{"role": r, "content": t} for r, t in turn]} for turn in turns],
        "sharegpt": [
            {"conversations": [{"from": {"user": "human"}.get(r, "gpt"), "value": t} for r, t in turn]}
            for turn in turns
        ],
        "alpaca": [{"instruction": t[0][1], "input": "", "output": t[1][1]} for t in turns],
        "choices": [
            {
                "question": f"{i}: which?",
                "choices": {"text": ["x", "y"], "label": ["A", "B"]},
                "answerKey": "A",
            }
            for i in range(12)
        ],
        "preferences": [{"prompt": t[0][1], "chosen": t[1][1], "rejected": "no"} for t in turns],
        "tokenized": [{"input_ids": [5, 6, 7, i], "labels": [-100, -100, 7, i]} for i in range(5, 17)],
        "gsm8k": [{"question": t[0][1], "answer": t[1][1]} for t in turns],
    }
    for name, found in shapes.items():
        _lines(Path("shapes") / f"{name}.jsonl", found)
    described = {
        "file_name": "shapes/alpaca.jsonl",
        "columns": {"prompt": "instruction", "response": "output"},
    }
    Path("dataset_info.json").write_text(json.dumps({"mine": described}))


def _write_results() -> None:
    """What lm-eval and a table say of the checkpoints of `bare`."""
    import polars as pl

    rows = []
    for c, step in enumerate(STEPS):
        name = f"checkpoint-{step}"
        answers = [lm_eval_sample(i, int(i % 3 <= c)) for i in range(12)]
        references = [lm_eval_sample(i, 0, scored=1.0 + i + c) for i in range(12)]
        tasks = {"mine": ("generate_until", answers), "mine_references": ("loglikelihood", references)}
        write_lm_eval(Path("results"), f"bare/{name}", tasks)
        rows += [
            {
                "checkpoint": name,
                "example_id": f"p{i}",
                "correct": int(i % 3 <= c),
                "nll_nats": 1.0 + i,
                "n_tokens": 9,
            }
            for i in range(12)
        ]
    pl.DataFrame(rows).write_csv("answers.csv")
    pl.DataFrame(rows).write_parquet("answers.parquet")


def _write_logs() -> None:
    """Logs that other tools wrote of one small training."""
    shutil.copytree(WRITTEN, "logs", ignore=shutil.ignore_patterns("*.sql", "hf_*"))
    for name in ("mlflow", "trackio"):
        make_database(f"{name}.sql", Path("logs") / f"{name}.db")


def _write_repair() -> None:
    """A record of a repair that stands beside its audit, so that the report shows it."""
    from overmem.artifacts.manifest import read_manifest
    from overmem.artifacts.store import Store
    from overmem.records import Attempt, Estimate, Proof, Repair, Temperature

    store = Store(Path("run/overmem"))
    attempt = Attempt(
        name="pair",
        method="pair",
        checkpoints=("checkpoint-10", "checkpoint-20"),
        weights=(0.5, 0.5),
        nll_nats=2.0,
    )
    proof = Proof(accepted=False, probability_not_worse=0.5, gains=("nll",), reason="no gain", differences=())
    change = Estimate(value=-0.1, low=-0.2, high=0.1, n=6)
    repair = Repair(
        run=Path("run"),
        before="checkpoint-10",
        last="checkpoint-100",
        n_search=6,
        n_confirm=6,
        attempts=(attempt, dataclasses.replace(attempt, name="wise", accuracy=0.5)),
        winner="pair",
        proof=proof,
        against_last=(),
        temperature=Temperature(temperature=1.2, nll_change=change),
        retraining=None,
        model=None,
        audited=read_manifest(store).key,
        words=("Not repaired.",),
    )
    store.write_record("repair", repair.to_dict())


def _lines(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
