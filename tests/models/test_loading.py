"""Every family that `AutoModelForCausalLM` loads goes through the whole flow: train, audit, merge."""

import pytest
import torch
import transformers
from peft import PeftModel
from transformers import AutoModelForCausalLM

import overmem
from overmem.artifacts.store import Store
from overmem.recipe.reading import check_recipe
from overmem.records import Example
from overmem.rendering.render import render
from overmem.rendering.template import Template
from overmem.training.trainer import train
from tests.conftest import VAL_ROWS, save_checkpoint
from tests.models.likelihood.test_scoring import naive_nll

SMALL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
}
GROUPED = SMALL | {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
"""Grouped queries, and heads that do not add up to the hidden size."""
FAMILIES = {
    "Llama": GROUPED | {"tie_word_embeddings": True},
    # The window is shorter than the texts.
    "Mistral": GROUPED | {"sliding_window": 16},
    # Soft caps low enough to bite; its embeddings are always tied.
    "Gemma2": GROUPED
    | {
        "sliding_window": 16,
        "attn_logit_softcapping": 0.5,
        "final_logit_softcapping": 3.0,
        "query_pre_attn_scalar": 8,
    },
    # Norms of queries and keys.
    "Qwen3": GROUPED | {"tie_word_embeddings": False},
    # Conv1D: weights lie the other way round.
    "GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 256, "initializer_range": 0.2},
}
CASES = [("GPT2", "lora"), ("Qwen3", "lora"), ("Gemma2", "full")]
MORE = [("Llama", "lora"), ("Mistral", "lora"), ("Gemma2", "lora"), ("GPT2", "full"), ("GPT2", "pissa")]
IDS = torch.arange(5, 65).reshape(2, 30)


def make(family, tokenizer):
    torch.manual_seed(0)
    special = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0, "bos_token_id": None}
    config = getattr(transformers, f"{family}Config")(
        **FAMILIES[family], **special, vocab_size=len(tokenizer)
    )
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


@pytest.mark.parametrize(
    ("family", "method"), [*CASES, *(pytest.param(*case, marks=pytest.mark.exhaustive) for case in MORE)]
)
def test_a_family_trains_is_audited_and_merges(tmp_path, tokenizer, val_file, family, method):
    base = tmp_path / "base"
    save_checkpoint(base, make(family, tokenizer), tokenizer, 0)

    def loaded(folder):
        """By the libraries alone, with the attention that is always there."""
        adapter = (folder / "adapter_config.json").is_file()
        model = AutoModelForCausalLM.from_pretrained(base if adapter else folder, attn_implementation="eager")
        return (PeftModel.from_pretrained(model, folder) if adapter else model).float().eval()

    written = {
        "model": {"name": str(base)},
        "data": {"train": str(val_file), "val": str(val_file)},
        "output": str(tmp_path / "run"),
        "method": method,
        "lora": {} if method == "full" else {"r": 2},
        "monitor": False,
        "training": {
            "max_steps": 2,
            "save_steps": 1,
            "save_strategy": "steps",
            "learning_rate": 3e-2,
            "lr_scheduler_type": "constant",
            "per_device_train_batch_size": 4,
            "bf16": False,
            "gradient_checkpointing": False,
            "dataloader_pin_memory": False,
        },
    }
    run = train(check_recipe(written, "test"))
    overmem.audit(run, axes=("likelihood",), limit=6)
    items = [
        render(Example(row["id"], row["prompt"], row["completion"]), tokenizer, Template())
        for row in VAL_ROWS
    ]
    by_id = {row["id"]: item for row, item in zip(VAL_ROWS, items, strict=True)}
    first, second = (run / f"checkpoint-{step}" for step in (1, 2))
    for folder in (first, second):
        model = loaded(folder)
        rows = Store.of_run(run).read_rows(folder.name, "likelihood").to_dicts()
        assert len(rows) >= 6
        for row in rows:
            expected = naive_nll(model, by_id[row["example_id"]])
            assert row["nll_nats"] == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert (logits(loaded(first)) - logits(loaded(second))).abs().max() > 0.01
    for into_full in {False, method != "full"}:
        options = {"into_full": True} if into_full else {}
        same = loaded(overmem.merge([second, second], tmp_path / f"same-{into_full}", **options))
        torch.testing.assert_close(logits(same), logits(loaded(second)), atol=2e-5, rtol=1e-5)
    overmem.merge([first, second], tmp_path / "pair")
