"""Adapters as PEFT loads them: put on a base model, with every tensor in its place or refused.

PEFT renames and converts what it loads: the names of older versions of a model, experts that were saved one
by one. So names are compared after it, by what PEFT itself could not place.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open

from overmem.boundary import library_call
from overmem.checkpoints import read_adapter_config
from overmem.errors import CheckpointError
from overmem.models.adapters import WEIGHTS
from overmem.models.model_class import ADAPTED_TASKS, check_head, no_language_model
from overmem.models.placement import takes_adapters
from overmem.models.pretrained import unwrap_adapter

EMBEDDING = re.compile(
    r"\.(embed_tokens|lm_head|wte|word_embeddings|embed_in|embed_out)(\.base_layer)?\.weight$"
)
"""Whole embeddings in an adapter's file."""


def check_adapted(folder: Path, name: str) -> None:
    """Refuse an adapter over a model that is no language model.

    Args:
        folder: of the adapter.
        name: for errors.

    Raises:
        CheckpointError: says what the model does.
    """
    task = str(read_adapter_config(folder).get("task_type") or "")
    if task in ADAPTED_TASKS:
        raise no_language_model(name, f"task_type {task}", ADAPTED_TASKS[task])


def put_on(model: Any, folder: Path, adapter: str) -> tuple[Any, list[str]]:
    """A model with one more adapter on it.

    Args:
        model: a language model, or one that has adapters already.
        folder: of the adapter.
        adapter: its name among those on the model.

    Returns:
        The model, and the tensors that have no place in it or that it lacks.

    Raises:
        CheckpointError: the adapter has a head for something else than writing.
    """
    from peft import PeftModel

    names = getattr(unwrap_adapter(model), "_checkpoint_conversion_mapping", None) or {}
    with warnings.catch_warnings():
        # Said of patterns for bare parameters too, which PEFT does heed; what has no place is refused below.
        warnings.filterwarnings("ignore", "The following .*_pattern keys did not match", RuntimeWarning)
        with takes_adapters(model):
            if not isinstance(model, PeftModel):
                model = PeftModel.from_pretrained(model, str(folder), adapter_name=adapter)
            # Of an adapter that is on the model this loads the weights again, and says what became of them.
            loaded = model.load_adapter(str(folder), adapter_name=adapter, key_mapping=names)
    check_head(loaded.unexpected_keys, folder.name)
    return model, sorted({*_foreign(loaded.unexpected_keys), *_missing(model, loaded.missing_keys)})


def suits(skeleton: Any, folder: Path) -> bool:
    """Whether all tensors of an adapter find a place on a model without weights, which it changes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, misfits = put_on(skeleton, folder, "default")
    return not misfits


def check_placed(model: Any, adapter: str, name: str, misfits: Sequence[str]) -> None:
    """Refuse an adapter that was left out in part: PEFT only warns, and the base would be measured.

    Args:
        model: with the adapter on it.
        adapter: its name there.
        name: of its checkpoint, for errors.
        misfits: tensors that have no place; see `put_on`.

    Raises:
        CheckpointError: names one of them, or says that it is no adapter of weights.
    """
    if model.peft_config[adapter].is_prompt_learning:
        raise CheckpointError(
            f"{name} is a prompt-tuning adapter",
            expected="an adapter that changes weights (LoRA and its kin)",
            next_step="leave it out: a learned prompt is no part of the weights that are measured",
        )
    if misfits:
        raise CheckpointError(
            f"{name} does not fit its base model",
            got=f"{len(misfits)} tensors differ, such as {misfits[0]}",
            next_step="pass the right --base-model",
        )


def embedding_rows_of(folder: Path) -> int | None:
    """Rows of the embeddings that an adapter brings along, for tokens that were added; None without."""
    if not (folder / WEIGHTS).is_file():
        return None
    with library_call(f"{folder.name}/{WEIGHTS} cannot be read"), safe_open(folder / WEIGHTS, "pt") as file:
        whole = [name for name in file.keys() if EMBEDDING.search(name)]  # noqa: SIM118
        return int(file.get_slice(whole[0]).get_shape()[0]) if whole else None


def _missing(model: Any, names: list[str]) -> list[str]:
    """Without tensors that were loaded under another name: some kinds share one between all layers."""
    if not names:
        return []
    every = dict(model.named_parameters(remove_duplicate=False))
    loaded = {id(value) for name, value in every.items() if name not in names}
    return [name for name in names if name not in every or id(every[name]) not in loaded]


def _foreign(names: list[str]) -> list[str]:
    """Without whole tensors of the base model, which PEFT saves beside an adapter at times."""
    from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING

    return [name for name in names if any(part in name for part in PEFT_TYPE_TO_PREFIX_MAPPING.values())]
