"""`--template llamafactory:NAME` and `axolotl:CONFIG` beside the tokens that those frameworks prepare.

The rivals are their whole pipelines, run in environments of their own: LLaMA-Factory's `get_dataset` with
`tokenized_path`, and `axolotl preprocess`. Alpaca rows with and without an input, ShareGPT conversations of
two turns with and without a system message, and OpenAI messages. The tokenizer's own chat template stands
beside, to show what a difference looks like.

    python -m benchmarks.framework_tokens TOKENIZER --llamafactory /envs/lf/bin/python \
        --axolotl /envs/axolotl/bin/python

Exit code 1 where a row rendered by the framework's own code is not the one it prepared.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from transformers import AutoTokenizer, LlamaConfig

from overmem.rendering.comparison import TokenCheck, compare_tokens
from overmem.rendering.render import render_all
from overmem.rendering.template import Template
from overmem.tasks.sources import load_examples

N_ROWS = 40
LLAMAFACTORY_TEMPLATES = ("qwen3", "alpaca", "llama3")
PREPARE = """
import sys
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer
tokenizer, data, name, template, out = sys.argv[1:]
m, d, t, f, g = get_train_args(dict(model_name_or_path=tokenizer, stage="sft", do_train=True, bf16=False,
    finetuning_type="full", dataset=name, dataset_dir=data, template=template, cutoff_len=2048, use_cpu=True,
    output_dir=out + "-run", tokenized_path=out, overwrite_cache=True))
module = load_tokenizer(m)
get_dataset(get_template_and_fix_tokenizer(module["tokenizer"], d), m, d, t, stage="sft", **module)
"""
"""What `llamafactory-cli train` does up to the tokens; it exits once they are saved."""


def write_data(folder: Path) -> None:
    """The three files, and LLaMA-Factory's description of them."""
    rng = random.Random(0)
    pairs = [(rng.randint(1, 99), rng.randint(1, 99)) for _ in range(N_ROWS)]
    turns = [
        ("user", "What is {a} + {b}?"), ("assistant", "It is {s}."),
        ("user", "And twice that?"), ("assistant", "Twice that is {d}."),
    ]  # fmt: skip
    filled = [
        [(role, text.format(a=a, b=b, s=a + b, d=2 * (a + b))) for role, text in turns] for a, b in pairs
    ]
    names = {"user": "human", "assistant": "gpt"}
    files: dict[str, list[dict[str, Any]]] = {
        "alpaca": [
            {
                "instruction": f"Add {a} and {b}.",
                "input": "" if i % 2 else "Show the steps.",
                "output": f"{a} + {b} = {a + b}",
            }
            for i, (a, b) in enumerate(pairs)
        ],
        "sharegpt": [
            {
                "conversations": [{"from": names[role], "value": text} for role, text in row],
                "system": "Be brief." if i % 2 else "",
            }
            for i, row in enumerate(filled)
        ],
        "openai": [{"messages": [{"role": role, "content": text} for role, text in row]} for row in filled],
    }
    for name, rows in files.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    described = {
        "alpaca": {"file_name": "alpaca.json"},
        "sharegpt": {
            "file_name": "sharegpt.json",
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "system": "system"},
        },
        "openai": {
            "file_name": "openai.json",
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": tags,
        },
    }
    (folder / "dataset_info.json").write_text(json.dumps(described))


def run(command: list[str]) -> None:
    """A framework's own command; its output is shown where it fails."""
    told = {
        "DISABLE_VERSION_CHECK": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "AXOLOTL_DO_NOT_TRACK": "1",
        "PYTHONPATH": "",
    }
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **told})
    if done.returncode:
        sys.exit(f"{command[:4]} failed:\n{done.stderr[-2000:]}")


def compare(tokenizer: Any, source: str, prepared: str, kind: str) -> TokenCheck:
    """Our rows of a kind beside the prepared ones."""
    ours = render_all(load_examples(source).examples, tokenizer, Template(kind=kind))
    theirs = render_all(load_examples(prepared).examples, tokenizer, Template())
    return compare_tokens(ours, theirs, tokenizer, f"{Path(source).name}, {kind}")


def llamafactory(python: str, tokenizer_path: Path, folder: Path, tokenizer: Any) -> list[TokenCheck]:
    """Every file under every template."""
    found = []
    for name in ("alpaca", "sharegpt", "openai"):
        source = f"{folder / 'dataset_info.json'}#{name}"
        for template in LLAMAFACTORY_TEMPLATES:
            out = folder / f"lf-{name}-{template}"
            run([python, "-c", PREPARE, str(tokenizer_path), str(folder), name, template, str(out)])
            found.append(compare(tokenizer, source, f"{out}#train", f"llamafactory:{template}"))
            print(found[-1], flush=True)
        print("beside:", compare(tokenizer, source, f"{folder / f'lf-{name}-qwen3'}#train", "chat"))
    return found


def axolotl(python: str, tokenizer_path: Path, folder: Path, tokenizer: Any) -> list[TokenCheck]:
    """Every file under the strategy that suits it."""
    base = folder / "base"
    shutil.copytree(tokenizer_path, base, dirs_exist_ok=True)
    LlamaConfig(
        hidden_size=64, num_hidden_layers=1, num_attention_heads=2, vocab_size=len(tokenizer)
    ).save_pretrained(base)
    names = {"role": "from", "content": "value"}
    datasets = {
        "alpaca": {"type": "alpaca"},
        "sharegpt": {
            "type": "chat_template",
            "field_messages": "conversations",
            "message_property_mappings": names,
        },
        "openai": {"type": "chat_template"},
    }
    found = []
    for name, dataset in datasets.items():
        file, prepared = folder / f"{name}.json", folder / f"axolotl-{name}"
        configuration = {
            "base_model": str(base),
            "datasets": [{"path": str(file), "ds_type": "json", **dataset}],
            "dataset_prepared_path": str(prepared),
            "sequence_len": 2048,
            "output_dir": str(folder / "axolotl-run"),
            "micro_batch_size": 1,
            "gradient_accumulation_steps": 1,
            "num_epochs": 1,
            "learning_rate": 1e-4,
            "optimizer": "adamw_torch",
            "lr_scheduler": "cosine",
            "bf16": False,
            "val_set_size": 0,
            "special_tokens": {"pad_token": tokenizer.pad_token or tokenizer.eos_token},
        }
        if name != "alpaca":
            configuration["chat_template"] = "tokenizer_default"
        written = folder / f"axolotl-{name}.yml"
        written.write_text(yaml.safe_dump(configuration))
        run([python, "-m", "axolotl.cli.preprocess", str(written)])
        (saved,) = {path.parent for path in prepared.rglob("dataset_info.json")}
        found.append(compare(tokenizer, str(file), str(saved), f"axolotl:{written}"))
        print(found[-1], flush=True)
    return found


def main() -> int:
    """Prepare and compare with the frameworks that there are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--llamafactory", help="a Python that has LLaMA-Factory")
    parser.add_argument("--axolotl", help="a Python that has Axolotl")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder)
        for framework, python in (("llamafactory", options.llamafactory), ("axolotl", options.axolotl)):
            if python is not None:
                os.environ[f"OVERMEM_{framework.upper()}_PYTHON"] = python
                found += globals()[framework](python, options.tokenizer, folder, tokenizer)
    n_same = sum(check.n_same + check.n_elsewhere for check in found)
    print(
        f"all: {n_same} of {sum(check.n_rows for check in found)} rows are those that the framework prepared"
    )
    return int(not all(check.all_same for check in found))


if __name__ == "__main__":
    sys.exit(main())
