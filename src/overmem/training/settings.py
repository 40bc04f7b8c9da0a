"""A recipe's sections as the libraries take them, checked for what they would fail on later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from trl import SFTConfig

from overmem.boundary import library_call
from overmem.errors import RecipeError
from overmem.models.adapters import changed_base
from overmem.parsing import ParseError, finite_number, read_whole_text
from overmem.recipe.methods import lora_fields
from overmem.recipe.schema import Recipe
from overmem.training.loading import AUTO, has_bf16


def sft_config(recipe: Recipe) -> SFTConfig:
    """TRL's configuration: our few defaults, then whatever the recipe says.

    Raises:
        RecipeError: a field that `SFTConfig` does not have, or a value it refuses.
    """
    fields = {
        "save_strategy": "epoch",
        "report_to": "none",
        "logging_steps": 10,
        "disable_tqdm": True,
        # TRL would cut examples at 1,024 tokens; a limit that is set refuses them instead.
        "max_length": None,
        "bf16": AUTO,
        # Without this, transformers refuses bf16 where there is no accelerator.
        "use_cpu": not torch.accelerator.is_available(),
        **recipe.training,
    }
    if fields["bf16"] == AUTO:
        fields["bf16"] = has_bf16(use_cpu=fields["use_cpu"]) and not fields.get("fp16", False)
    unknown = sorted(set(fields) - set(SFTConfig.__dataclass_fields__))
    if unknown:
        raise RecipeError(
            "unknown key under training",
            got=", ".join(unknown),
            expected="a field of trl.SFTConfig (learning_rate, num_train_epochs, ...)",
        )
    _check_values(fields)
    with library_call("trl.SFTConfig refuses the training section", RecipeError):
        return SFTConfig(output_dir=recipe.output, seed=recipe.seed, **fields)


def _check_values(fields: Mapping[str, Any]) -> None:
    """Refuse what `SFTConfig` takes without a word and fails on later, or trains without a trace."""
    known = SFTConfig.__dataclass_fields__
    for key, value in fields.items():
        kind = str(known[key].type)
        is_number = isinstance(known[key].default, int | float) and "bool" not in kind
        if not is_number or (value is None and "None" in kind):
            continue
        found = finite_number(value)
        if found is None or ("int" in kind and found % 1):
            expected = "a whole number" if "int" in kind else "a number"
            raise RecipeError(f"training.{key} cannot be used", got=f"{value!r:.80}", expected=expected)
    for key in ("per_device_train_batch_size", "gradient_accumulation_steps"):
        if fields.get(key, 1) < 1:
            raise RecipeError(f"training.{key} is below 1", got=fields[key], expected="1 or more")
    if fields.get("max_steps", -1) <= 0 and fields.get("num_train_epochs", 1) <= 0:
        raise RecipeError(
            "nothing would be trained",
            got=f"training.num_train_epochs {fields['num_train_epochs']}",
            expected="more than 0",
        )
    # YAML reads a bare `no` as false.
    if fields["save_strategy"] in ("no", False):
        raise RecipeError(
            "no checkpoint would be saved, and all that is trained would be lost",
            got="training.save_strategy: no",
            expected="`epoch` or `steps`",
        )


def lora_config(recipe: Recipe, *, plain: bool = False) -> LoraConfig | None:
    """PEFT's configuration, or None for full fine-tuning.

    Args:
        recipe: whose method and `lora` section it is.
        plain: start at an update of zero over an unchanged base model; `AdaptingTrainer` changes it.

    Raises:
        RecipeError: a field that `LoraConfig` does not have, or a value it refuses.
    """
    if recipe.method == "full":
        return None
    fields = lora_fields(recipe.method, recipe.lora)
    unknown = sorted(set(fields) - set(LoraConfig.__dataclass_fields__))
    if unknown:
        raise RecipeError(
            "unknown key under lora",
            got=", ".join(unknown),
            expected="a field of peft.LoraConfig (r, lora_alpha, target_modules, ...)",
        )
    if plain and changed_base(fields) is not None:
        fields["init_lora_weights"] = True
    with library_call("peft.LoraConfig refuses the lora section", RecipeError):
        return LoraConfig(**{"task_type": "CAUSAL_LM", "target_modules": "all-linear", **fields})


def as_trained(tokenizer: Any, arguments: SFTConfig) -> None:
    """Give a tokenizer the end and the chat template that TRL would give it only after we have tokenized.

    Raises:
        RecipeError: a token that the tokenizer does not know, or a template that is not a file.
    """
    if arguments.eos_token is not None:
        if arguments.eos_token not in tokenizer.get_vocab():
            raise RecipeError(
                "training.eos_token is no token of the model's tokenizer",
                got=arguments.eos_token,
                expected="a token of its vocabulary",
            )
        tokenizer.eos_token = arguments.eos_token
    if arguments.chat_template_path is not None:
        path = Path(arguments.chat_template_path)
        if not path.is_file():
            raise RecipeError(
                "training.chat_template_path is no file",
                got=path,
                expected="a Jinja template as a file; another model's template can be saved as one",
            )
        try:
            tokenizer.chat_template = read_whole_text(path)
        except (OSError, ParseError) as error:
            raise RecipeError("training.chat_template_path cannot be read", got=error) from None
