"""A folder's files make nothing run or fetch: model code, tokenizer code, kernels, other models."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers.integrations import hub_kernels

from overmem.errors import CheckpointError
from overmem.models.pretrained import (
    check_adapter_config,
    empty_model,
    read_config,
    read_model,
    read_tokenizer,
)
from tests.conftest import make_pico, save_checkpoint
from tests.helpers.planted import change, plant_model, plant_tokenizer
from tests.helpers.processes import ALONE


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
    assert "CheckpointError" in done.stderr and "[y/N]" not in done.stdout
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
    with pytest.raises(CheckpointError, match="not done on a file's word"):
        check_adapter_config(config, "checkpoint-1")
    # Transformers loads an adapter that lies in a base model's folder, in silence.
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="not done on a file's word"):
        read_model(str(folder), trust_remote_code=False)


def test_ordinary_adapters_are_not():
    for config in ({}, {"peft_type": "LORA", "megatron_config": None, "megatron_core": "megatron.core"}):
        check_adapter_config(config, "checkpoint-1")
