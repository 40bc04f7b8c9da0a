"""Configurations, tokenizers and models from a folder or the hub, without code that only their files name.

What transformers 5.24 and PEFT 0.21 would run or fetch because a file says so, and what becomes of it here:

    auto_map                       a class beside the weights: only with trust_remote_code, else refused;
                                   transformers would ask on the terminal, and is told not to
    _attn_implementation,          how attention and experts are computed, `org/kernel` is fetched from the
    _experts_implementation        hub: set anew by what this machine is to use, in every part of a model
    custom_generate/               only with trust_remote_code, which transformers sees to
    megatron_config (adapters)     a module to import: refused
    peft_type                      XLORA, SHADOW: other models to load: refused
    a base that holds an adapter   loaded with it, in silence: the same is refused of it
    pickled weights                only with allow_pickle, see `overmem.checkpoints`
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    dynamic_module_utils,
)

from overmem.artifacts.store import read_json_or_empty
from overmem.checkpoints import ADAPTER_CONFIG
from overmem.errors import CheckpointError

LOADS_MODELS = ("XLORA", "SHADOW")
"""PEFT's kinds of adapters whose configuration names other models to load."""


def read_config(name: str, *, trust_remote_code: bool, attention: str | None = None, **settings: Any) -> Any:
    """A model's configuration, with attention and experts as this machine computes them.

    Args:
        name: folder or hub id.
        trust_remote_code: the caller lets code run that the folder brings along.
        attention: how attention is computed; transformers' own choice by default.
        settings: more for transformers.

    Raises:
        CheckpointError: it is made by code of its own, which may not run.
    """
    with _without_asking(name):
        config = AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code, **settings)
    config._attn_implementation = attention
    config._experts_implementation = None
    return config


def read_tokenizer(name: str | Path, *, trust_remote_code: bool, **settings: Any) -> PreTrainedTokenizerBase:
    """A tokenizer; see `read_config`."""
    with _without_asking(str(name)):
        return AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code, **settings)


def read_model(name: str, *, trust_remote_code: bool, attention: str | None = None, **settings: Any) -> Any:
    """A causal language model with its weights; see `read_config`."""
    check_adapter_config(read_json_or_empty(Path(name) / ADAPTER_CONFIG), Path(name).name)
    config = read_config(name, trust_remote_code=trust_remote_code, attention=attention)
    with _without_asking(name):
        return AutoModelForCausalLM.from_pretrained(
            name,
            config=config,
            attn_implementation=attention,
            experts_implementation=None,
            trust_remote_code=trust_remote_code,
            **settings,
        )


def empty_model(config: Any, *, trust_remote_code: bool, **settings: Any) -> Any:
    """The model of a configuration from `read_config`, on the `meta` device, without weights."""
    with _without_asking(str(config.name_or_path or config.model_type)), torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code, **settings)


def check_adapter_config(config: Mapping[str, Any], name: str) -> None:
    """Refuse an adapter whose configuration names code to import or other models to load.

    Args:
        config: adapter_config.json; empty where there is none.
        name: of its folder, for errors.

    Raises:
        CheckpointError: says what it names.
    """
    kind = str(config.get("peft_type", "")).upper()
    key = next((key for key in ("megatron_config",) if config.get(key)), None)
    if kind not in LOADS_MODELS and key is None:
        return
    raise CheckpointError(
        f"the adapter in {name} names what to load beside it, which is not done on a file's word",
        got=f"peft_type {kind}" if key is None else f"{key} {config[key]!r}"[:200],
        expected="an adapter that changes weights (LoRA and its kin)",
        next_step="merge it into its base model with PEFT, and measure that",
    )


@contextmanager
def _without_asking(name: str) -> Iterator[None]:
    """Code that may not run is refused with one message, and nobody is asked on the terminal."""
    before = dynamic_module_utils.TIME_OUT_REMOTE_CODE
    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
    try:
        yield
    except ValueError as error:
        # transformers has no class for it, and names the argument in every such message.
        if "trust_remote_code" not in str(error):
            raise
        raise CheckpointError(
            f"{Path(name).name} is a model with code of its own, which is run only where you say so yourself",
            got=name,
            expected="a model that transformers knows, or consent given for this command",
            next_step="read its .py files, and pass --trust-remote-code if you trust them "
            "(trust_remote_code=True in Python)",
        ) from None
    finally:
        dynamic_module_utils.TIME_OUT_REMOTE_CODE = before
