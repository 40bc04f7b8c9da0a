"""A folder's files make nothing run or fetch, and a damaged or impossible checkpoint is one message."""

import functools
import gc
import json
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers.integrations import hub_kernels
from transformers.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

import overmem
from overmem.errors import CheckpointError, RecipeError, RunError
from overmem.models.loading import ModelHost
from overmem.models.pretrained import (
    check_adapter_config,
    empty_model,
    read_config,
    read_generation_config,
    read_model,
    read_tokenizer,
    run_model,
)
from tests.conftest import make_pico, save_checkpoint
from tests.helpers.planted import change, plant_model, plant_tokenizer
from tests.helpers.processes import ALONE
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
    "panics while it is loaded": json.dumps(
        {
            "version": "1.0",
            "added_tokens": [],
            "model": {
                "type": "BPE",
                "vocab": {"a": 0, "b": 1, "ab": 2},
                "merges": [["a", "b"]],
                "continuing_subword_prefix": "longer than a token",
            },
        }
    ),
    "no such model": '{"version": "1.0", "added_tokens": [], "model": {"type": "ZZ"}}',
}
GENERATION = {
    "a list": "[]",
    "cut": "{",
    "text": '{"eos_token_id": "x"}',
    "below 0": '{"eos_token_id": [1, -2]}',
    "infinite": '{"eos_token_id": [1e400]}',
}


@pytest.fixture
def folder(tmp_path: Path, tokenizer) -> Path:
    save_checkpoint(tmp_path / "model", make_pico(tokenizer, seed=0), tokenizer, 1)
    return tmp_path / "model"


def plant(folder: Path) -> Path:
    """Code beside the weights, without which transformers cannot read them; the mark it leaves when run."""
    mark = folder.parent / "ran"
    plant_model(folder, mark)
    plant_tokenizer(folder, mark)
    return mark


@pytest.mark.parametrize("read", [read_config, read_tokenizer, read_model])
def test_code_beside_the_weights_is_refused_at_once_and_runs_with_consent(folder, read, monkeypatch):
    mark = plant(folder)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
    with pytest.raises(CheckpointError, match="--trust-remote-code"):
        read(str(folder), trust_remote_code=False)
    assert not mark.exists()
    read(str(folder), trust_remote_code=True)
    assert mark.exists()


def test_nobody_is_asked_where_a_part_of_a_model_names_code(folder):
    """Transformers asks for 15 seconds where no argument says yes or no, as for a model within a model."""
    plant(folder)
    program = (
        "import sys; from overmem.models.pretrained import _without_asking\n"
        "from transformers import AutoConfig\n"
        "with _without_asking('a'): AutoConfig.from_pretrained(sys.argv[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], input="y\n", capture_output=True, text=True, env=ALONE
    )
    assert "ConsentError" in done.stderr and "[y/N]" not in done.stdout
    assert not (folder.parent / "ran").exists()


@pytest.fixture
def fetched(monkeypatch):
    """Kernels that transformers would fetch, were the package `kernels` there."""
    names = []

    def fetch(name, **_):
        names.append(name)
        raise ValueError("fetched")

    monkeypatch.setattr(hub_kernels, "get_kernel", fetch)
    monkeypatch.setattr(hub_kernels, "is_kernels_available", lambda *_: True)
    return names


@pytest.mark.parametrize(
    "named",
    [
        {"_attn_implementation": "org/kernel"},
        {"_attn_implementation": "org/kernel@main:forward"},
        {"_attn_implementation": "paged|org/kernel"},
        {"_attn_implementation": {"": "org/kernel"}},
        {"attn_implementation": "org/kernel"},
        {"_experts_implementation": "sonicmoe"},
        {"experts_implementation": "org/kernel"},
        {"use_kernels": True, "kernel_config": {"RMSNorm": "org/kernel:RMSNorm"}},
    ],
)
def test_kernels_that_a_configuration_names_are_not_fetched(folder, fetched, named):
    settings = {"trust_remote_code": False, "dtype": torch.float32}
    before = read_model(str(folder), **settings).config._attn_implementation
    change(folder / "config.json", **named)
    assert read_model(str(folder), **settings).config._attn_implementation == before
    assert read_model(str(folder), attention="eager", **settings).config._attn_implementation == "eager"
    empty_model(read_config(str(folder), trust_remote_code=False), trust_remote_code=False)
    assert fetched == []


def test_transformers_alone_would_fetch_it(folder, fetched):
    """That the test above can fail."""
    from transformers import AutoModelForCausalLM

    change(folder / "config.json", _attn_implementation="org/kernel")
    with pytest.raises(ValueError, match="fetched"):
        AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False, attn_implementation="eager")
    assert fetched == ["org/kernel"]


@pytest.mark.parametrize(
    "config",
    [
        {"peft_type": "LORA", "megatron_config": {"a": 1}, "megatron_core": "planted"},
        {"peft_type": "XLORA", "adapters": {"0": "elsewhere"}},
        {"peft_type": "SHADOW", "shadow_model": "elsewhere"},
    ],
)
def test_adapters_that_name_code_or_other_models_are_refused(folder, config):
    with pytest.raises(CheckpointError, match="a file may not ask for"):
        check_adapter_config(config, "checkpoint-1")
    # Transformers loads an adapter that lies in a base model's folder, in silence.
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="a file may not ask for"):
        read_model(str(folder), trust_remote_code=False)


def test_ordinary_adapters_are_not():
    for config in ({}, {"peft_type": "LORA", "megatron_config": None, "megatron_core": "megatron.core"}):
        check_adapter_config(config, "checkpoint-1")


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_that_is_refused_is_ours(tmp_path, name):
    write(tmp_path / "config.json", CONFIGS[name])
    with pytest.raises(CheckpointError, match=r"cannot be (read|loaded)[\s\S]*got: "):
        read_config(tmp_path, trust_remote_code=False)
        read_model(tmp_path, trust_remote_code=False)
    with pytest.raises(RecipeError):
        read_model(tmp_path, RecipeError, trust_remote_code=False)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_damaged_tokenizer_is_found_when_it_is_read(tmp_path, name, capfd):
    write(tmp_path / "tokenizer.json", TOKENIZERS[name])
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(RunError, match=r"tokenizer of .* cannot be read[\s\S]*got: "):
        read_tokenizer(tmp_path, RunError, trust_remote_code=False)
    assert "panicked" not in capfd.readouterr().err


@pytest.mark.parametrize("name", GENERATION)
def test_a_generation_configuration_says_how_answers_end_or_is_refused(base, name):
    config = read_config(base, trust_remote_code=False)
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


@pytest.mark.parametrize(("shown", "hub_shown"), [(True, True), (True, False), (False, False)])
def test_loading_draws_no_bar_and_leaves_the_bars_of_others_as_they_were(folder, capfd, shown, hub_shown):
    before = is_progress_bar_enabled(), are_progress_bars_disabled()
    try:
        (enable_progress_bar if shown else disable_progress_bar)()
        (enable_progress_bars if hub_shown else disable_progress_bars)()
        read_model(folder, trust_remote_code=False)
        assert "Loading weights" not in capfd.readouterr().err
        assert (is_progress_bar_enabled(), not are_progress_bars_disabled()) == (shown, hub_shown)
    finally:
        (enable_progress_bar if before[0] else disable_progress_bar)()
        (disable_progress_bars if before[1] else enable_progress_bars)()


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
