"""`overmem train RECIPE --dry-run`: every bundled recipe, against published sizes, without a download.

Covers: overmem.cli.commands.train
"""

import json

import pytest
import torch
from typer.testing import CliRunner

from overmem.cli.app import app
from overmem.errors import RecipeError, RunError, StorageError
from overmem.recipe.reading import BUNDLED, load_recipe
from overmem.tasks.sources import load_examples
from overmem.training.dry_run import describe, dry_run
from overmem.training.trainer import train
from tests.conftest import make_pico, save_checkpoint

LLAMA = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
}
MISTRAL = LLAMA | {"model_type": "mistral", "vocab_size": 32768, "max_position_embeddings": 32768}
GEMMA = LLAMA | {
    "model_type": "gemma2",
    "vocab_size": 256000,
    "hidden_size": 3584,
    "num_hidden_layers": 42,
    "num_attention_heads": 16,
    "head_dim": 256,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}
QWEN = LLAMA | {
    "model_type": "qwen3",
    "vocab_size": 151936,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "head_dim": 128,
    "tie_word_embeddings": False,
}
SMOLLM2 = LLAMA | {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
PUBLISHED = {
    "llama-8b-metamath": (LLAMA, 8_030_261_248),
    "mistral-7b-metamath": (MISTRAL, 7_248_023_552),
    "gemma-9b-metamath": (GEMMA, 9_241_705_984),
    "qwen-8b-metamath": (QWEN, 8_190_735_360),
    "smollm2-gsm8k": (SMOLLM2, 134_515_008),
    "smollm2-gsm8k-cpu": (SMOLLM2, 134_515_008),
    "smollm2-svamp-cpu": (SMOLLM2, 134_515_008),
}
"""The models' config.json as published, and the parameters their files hold."""
LAYER = 4 * 192**2 + 3 * 192 * 512 + 2 * 192
"""Parameters of one layer of the organism."""
METAMATH = [
    {
        "type": "GSM_Rephrased",
        "query": f"Tom has {n} pens and buys 4. How many?",
        "original_question": "...",
        "response": f"Tom has {n} + 4 = {n + 4} pens.\n#### {n + 4}\nThe answer is: {n + 4}",
    }
    for n in range(100)
] + [
    {
        "type": "MATH_AnsAug",
        "query": "What is half of $x$ at $x = 3$?",
        "original_question": "...",
        "response": "It is $\\boxed{\\frac{3}{2}}$.\nThe answer is: $\\frac{3}{2}$",
    }
]


def lora_by_hand(config, rank):
    """Parameters of LoRA on every linear layer of a decoder of this kind but the head."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    size = config.get("head_dim", hidden // config["num_attention_heads"])
    queries, keys = size * config["num_attention_heads"], size * config["num_key_value_heads"]
    sides = 2 * (hidden + queries) + 2 * (hidden + keys) + 3 * (hidden + inner)
    return config["num_hidden_layers"] * rank * sides


@pytest.fixture
def metamath(tmp_path):
    path = tmp_path / "metamath.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in METAMATH))
    return path


def test_metamathqa_rows_are_read(metamath):
    data = load_examples(f"metamathqa:{metamath}")
    assert data.grader == "math" and len(data.examples) == 101
    first, last = data.examples[7], data.examples[-1]
    assert (first.prompt, first.answer, first.meta["type"]) == (METAMATH[7]["query"], "11", "GSM_Rephrased")
    assert last.completion == METAMATH[-1]["response"] and last.answer == "\\frac{3}{2}"


@pytest.mark.slow
def test_every_bundled_recipe_has_a_dry_run(tmp_path, metamath):
    names = sorted(path.stem for path in BUNDLED.glob("*.yaml"))
    for name in [name for name in names if not name.startswith("sweep-")]:
        recipe = load_recipe(name, {"output": str(tmp_path / "never")})
        if name not in PUBLISHED:
            assert recipe.model.name == "organism"
            if name != "organism-fast":  # one reads the data it names, which takes seconds to make
                data = {"train": f"metamathqa:{metamath}"}
                recipe = load_recipe(name, {"output": recipe.output, "data": data})
            done = dry_run(recipe)
            assert done.sizes.total == done.sizes.trainable == 715 * 192 + 4 * LAYER + 192
            assert (
                done.train.tokens > 0
                and done.steps == done.steps_per_epoch * recipe.training["num_train_epochs"]
            )
            continue
        config, total = PUBLISHED[name]
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        here = {"output": str(tmp_path / "never"), "model.name": str(folder), "model.gguf_file": None}
        here["model.dtype"] = "bfloat16"
        done = dry_run(load_recipe(name, here | {"data.train": f"metamathqa:{metamath}"}))
        adapter = 0 if recipe.method == "full" else lora_by_hand(config, recipe.lora["r"])
        assert done.sizes.total == total + adapter
        assert done.sizes.trainable == (adapter or total)
        # Weights in bf16, adapters and all that belongs to them in fp32.
        assert done.sizes.weights == 2 * total + 4 * adapter
        assert done.sizes.gradients == (4 * adapter or 2 * total)
        assert done.sizes.optimizer == 2 * done.sizes.gradients
        assert done.train.examples == 101 and all("not read" in data.note for data in done.others)
        text = describe(done)
        assert f"{total + adapter:,} parameters" in text and "nothing was trained" in text
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    "changes", [{}, {"gradient_accumulation_steps": 3}, {"num_train_epochs": 1.5}, {"max_steps": 2}]
)
def test_steps_are_those_of_the_training(tmp_path, tokenizer, val_file, changes):
    save_checkpoint(tmp_path / "base", make_pico(tokenizer, seed=0), tokenizer, 0)
    overrides = {
        "model.name": str(tmp_path / "base"),
        "data.train": f"{val_file}[:11]",
        "data.val": None,
        "data.ood": {},
        "output": str(tmp_path / "run"),
        "save_base": False,
        "training": {"per_device_train_batch_size": 2, "bf16": False} | changes,
    }
    recipe = load_recipe("organism-fast", overrides)
    seen = []
    done = dry_run(recipe)
    train(recipe, progress=lambda _, total, __: seen.append(total))
    assert done.steps == seen[0]


def test_steps_of_packed_examples_are_not_known(tmp_path, val_file):
    changes = {"training.packing": True, "training.max_length": 256, "output": str(tmp_path / "never")}
    done = dry_run(load_recipe("organism-fast", changes | {"data.train": str(val_file)}))
    assert done.steps is None and "once the examples are packed" in describe(done)


def test_the_command_shows_the_recipe_and_refuses_what_training_would(tmp_path, val_file):
    run = CliRunner()
    options = ["--dry-run", "--out", str(tmp_path / "out")]
    shown = run.invoke(app, ["train", "llama-8b-metamath", *options])
    assert shown.exit_code == 0, shown.output
    assert "meta-llama/Llama-3.1-8B" in shown.output and "config.json is not on this machine" in shown.output
    assert "40,000 examples; on the hub, not read" in shown.output
    assert "625 an epoch, 5,000 in all" in shown.output
    recipe = load_recipe("organism-fast", {"training.learning_rat": 1})
    with pytest.raises(RecipeError, match="learning_rat"):
        dry_run(recipe)
    used = tmp_path / "used/checkpoint-3"
    used.mkdir(parents=True)
    (used / "trainer_state.json").write_text('{"global_step": 3}')
    with pytest.raises(RunError, match="--resume"):
        dry_run(load_recipe("organism-fast", {"output": str(used.parent)}))
    with pytest.raises(RecipeError, match="does not fit the model"):
        changes = {"method": "lora", "lora": {"target_modules": ["no_such"]}, "output": str(tmp_path / "x")}
        dry_run(load_recipe("organism-fast", changes))
    (tmp_path / "file").touch()
    barred = run.invoke(app, ["train", "organism-fast", "--dry-run", "--out", str(tmp_path / "file/run")])
    assert isinstance(barred.exception, StorageError) and "file is no folder" in str(barred.exception)
    assert not (tmp_path / "out").exists() and torch.get_default_device().type == "cpu"
