"""What the files beside a log say of its training: the model's class, the adapter's task, the arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overmem.logs.arguments_file import CLASS, FILE, read_arguments
from overmem.parsing import read_json_or_empty

_FILES = {
    "config.json": ("architectures", "model_type", "problem_type"),
    "adapter_config.json": ("task_type", "peft_type"),
    "args.json": (),
    "training_args.json": (),
}
"""Keys that are taken from each file; all that are in `ARGUMENTS` from those of arguments."""
ARGUMENTS = (
    "learning_rate",
    "gradient_accumulation_steps",
    "per_device_train_batch_size",
    "metric_for_best_model",
    "greater_is_better",
    "load_best_model_at_end",
    "label_smoothing_factor",
    "neftune_noise_alpha",
    "loss_type",
    "rlhf_type",
    "stage",
    "packing",
    "neat_packing",
    "sample_packing",
)
STATE_KEYS = ("logging_steps", "eval_steps", "save_steps", "train_batch_size", "num_input_tokens_seen")


def read_settings(folders: tuple[Path, ...], state: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a training, flat.

    Args:
        folders: where its files may lie; an earlier one counts before a later.
        state: the trainer state, for the settings that it carries.

    Returns:
        Plain values by name; what is nowhere is absent.
    """
    found: dict[str, Any] = {}
    for folder in folders:
        for name, keys in _FILES.items():
            for key, value in read_json_or_empty(folder / name).items():
                if key in (keys or ARGUMENTS) and value is not None:
                    found.setdefault(key, value)
        if (folder / FILE).is_file() and CLASS not in found:
            read = read_arguments(folder / FILE, ARGUMENTS)
            found |= {key: value for key, value in read.items() if value is not None and key not in found}
    return found | {key: state[key] for key in STATE_KEYS if state.get(key)}
