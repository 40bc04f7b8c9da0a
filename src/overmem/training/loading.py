"""Load the model that a recipe starts from, in the precision that its hardware has.

Where a recipe leaves the choice (`training.bf16`, `model.dtype: auto`), bf16 is used only on hardware that
has it: a CPU without it emulates every product and was measured ten times slower than in fp32.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from overmem.boundary import library_call
from overmem.errors import RecipeError
from overmem.models.pretrained import read_model, read_tokenizer
from overmem.recipe.base_model import resolve_model
from overmem.recipe.schema import ModelRecipe


def load_model(recipe: ModelRecipe) -> tuple[Any, PreTrainedTokenizerBase]:
    """The model in the recipe's dtype and its tokenizer.

    Raises:
        RecipeError: the model cannot be found or loaded.
        CheckpointError: it needs code of its own, which the recipe does not let run.
    """
    name = resolve_model(recipe)
    another = "set model.name in the recipe, or pass --model"
    model = read_model(
        name,
        RecipeError,
        what=f"the model {name} cannot be loaded",
        expected="a local folder, or a hub id that can be reached",
        next_step=another,
        dtype=torch_dtype(recipe.dtype),
        attention=recipe.attn_implementation,
        trust_remote_code=recipe.trust_remote_code,
    )
    tokenizer = read_tokenizer(
        name, RecipeError, next_step=another, trust_remote_code=recipe.trust_remote_code
    )
    with library_call(
        f"the generation configuration of {name} cannot be saved", RecipeError, next_step=another
    ):
        model.generation_config.validate(strict=True)  # or the first checkpoint fails
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


AUTO = "auto"


def has_bf16(*, use_cpu: bool = False) -> bool:
    """Whether the device that training takes computes in bf16 natively.

    Args:
        use_cpu: train on the CPU even where there is an accelerator.
    """
    accelerator = None if use_cpu else torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        # x86 with AVX-512 or AMX, and ARM; an older torch that cannot say gets fp32.
        return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    if accelerator.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return True


def torch_dtype(name: str) -> torch.dtype:
    """The dtype of a recipe's weights; `auto` is bf16 where the hardware has it, else fp32."""
    if name == AUTO:
        return torch.bfloat16 if has_bf16() else torch.float32
    return getattr(torch, name)  # type: ignore[no-any-return]
