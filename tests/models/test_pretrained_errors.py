"""What transformers reads of a damaged checkpoint, and what it runs of an impossible one, is one message."""

import functools
import gc
import json
import weakref

import pytest
import torch

import overmem
from overmem.errors import CheckpointError, RecipeError, RunError
from overmem.models.loading import ModelHost
from overmem.models.pretrained import (
    read_config,
    read_generation_config,
    read_model,
    read_tokenizer,
    run_model,
)
from tests.helpers.tokenizers import PANICS

CONFIGS = {
    "a list": "[]",
    "no number": '{"model_type": "llama", "hidden_size": "x"}',
    "no such kind": '{"model_type": "none such"}',
    "latin-1": b'{"model_type": "llama", "x": "\xe9"}',
    "heads": '{"model_type": "llama", "hidden_size": 16, "num_attention_heads": 0}',
    "deep": "[" * 100_000,
}
TOKENIZERS = {
    "nothing in it": "{}",
    "cut": '{"version": "1.0", "trunc',
    "latin-1": b'{"a": "\xe9"}',
    "panics": PANICS,
    "no such model": '{"version": "1.0", "added_tokens": [], "model": {"type": "ZZ"}}',
}
GENERATION = {
    "a list": "[]",
    "cut": "{",
    "text": '{"eos_token_id": "x"}',
    "below 0": '{"eos_token_id": [1, -2]}',
    "infinite": '{"eos_token_id": [1e400]}',
}


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_that_is_refused_is_ours(tmp_path, name):
    write(tmp_path / "config.json", CONFIGS[name])
    with pytest.raises(CheckpointError, match=r"cannot be (read|loaded)[\s\S]*got: "):
        read_config(tmp_path)
        read_model(tmp_path)
    with pytest.raises(RecipeError):
        read_model(tmp_path, RecipeError)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_damaged_tokenizer_is_found_when_it_is_read(tmp_path, name, capfd):
    write(tmp_path / "tokenizer.json", TOKENIZERS[name])
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(RunError, match=r"tokenizer of .* cannot be read[\s\S]*got: "):
        read_tokenizer(tmp_path, RunError)
    assert "panicked" not in capfd.readouterr().err


@pytest.mark.parametrize("name", GENERATION)
def test_a_generation_configuration_says_how_answers_end_or_is_refused(base, name):
    config = read_config(base)
    assert read_generation_config(base, config).eos_token_id == config.eos_token_id
    write(base / "generation_config.json", GENERATION[name])
    with pytest.raises(CheckpointError, match=r"cannot be read|no token id"):
        read_generation_config(base, config)
    (base / "generation_config.json").unlink()
    assert read_generation_config(base, config).eos_token_id == config.eos_token_id


def test_a_forward_pass_that_fails_is_the_checkpoints_and_memory_is_not():
    def fails(**inputs):
        raise KeyError("rope")

    def too_large(**inputs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")

    with pytest.raises(CheckpointError, match="forward pass"):
        run_model(fails)
    with pytest.raises(torch.OutOfMemoryError):
        run_model(too_large)
    assert run_model(lambda x: x + 1, x=1) == 2


def test_one_bad_checkpoint_of_each_kind_is_skipped_by_name(pico_run, val_file, monkeypatch):
    (pico_run / "checkpoint-10" / "generation_config.json").write_text('{"eos_token_id": {"a": 1}}')
    config = pico_run / "checkpoint-20" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_act": "none such"}))
    done = overmem.audit(pico_run, val=str(val_file), limit=2, max_new_tokens=2)
    assert [checkpoint.name for checkpoint in done.manifest.checkpoints] == ["checkpoint-100"]
    assert "eos_token_id" in done.skipped["checkpoint-10"] and "none such" in done.skipped["checkpoint-20"]
    assert json.loads((done.store.root / "manifest.json").read_text())["skipped"] == done.skipped
    weights = pico_run / "checkpoint-100" / "config.json"
    weights.write_text(weights.read_text().replace('"vocab_size": ', '"vocab_size": 1'))
    with pytest.raises(RunError, match=r"could be measured[\s\S]*checkpoint-10[\s\S]*-20[\s\S]*-100"):
        overmem.audit(pico_run, val=str(val_file), limit=2, max_new_tokens=2)


def test_a_tokenizer_that_is_damaged_at_the_last_checkpoint_is_read_from_another(pico_run):
    host = ModelHost(overmem.open_run(pico_run), device=torch.device("cpu"), dtype=torch.float32)
    ids = host.tokenizer()("How many?")["input_ids"]
    (pico_run / "checkpoint-100" / "tokenizer.json").write_text("{}")
    assert host.tokenizer()("How many?")["input_ids"] == ids
    for step in (10, 20):
        (pico_run / f"checkpoint-{step}" / "tokenizer.json").write_text("{}")
    with pytest.raises(RunError, match="tokenizer of checkpoint-100 cannot be read"):
        host.tokenizer()


def test_a_checkpoint_that_fails_while_it_answers_is_skipped_by_name(pico_run, val_file, monkeypatch):
    from transformers import LlamaForCausalLM

    forward = LlamaForCausalLM.forward

    @functools.wraps(forward)
    def fails(self, *arguments, **inputs):
        if self.name_or_path.endswith("checkpoint-20") and inputs.get("use_cache"):
            raise KeyError("in its cache")
        return forward(self, *arguments, **inputs)

    monkeypatch.setattr(LlamaForCausalLM, "forward", fails)
    done = overmem.audit(pico_run, val=str(val_file), limit=2, max_new_tokens=2)
    assert list(done.skipped) == ["checkpoint-20"] and "in its cache" in done.skipped["checkpoint-20"]


def test_a_model_that_failed_is_gone_before_the_next_is_loaded(pico_run, val_file, monkeypatch):
    from transformers import LlamaForCausalLM

    loaded, alive, load = [], [], ModelHost.load

    def spy(self, checkpoint):
        gc.collect()
        alive.append([model() is not None for model in loaded])
        model = load(self, checkpoint)
        loaded.append(weakref.ref(model))
        return model

    def fails(self, *arguments, **inputs):
        raise KeyError("always")

    monkeypatch.setattr(ModelHost, "load", spy)
    monkeypatch.setattr(LlamaForCausalLM, "forward", fails)
    with pytest.raises(RunError, match="could be measured"):
        overmem.audit(pico_run, val=str(val_file), limit=2, max_new_tokens=2)
    assert alive == [[], [False], [False, False]]
