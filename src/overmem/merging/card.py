"""What goes beside merged weights: configuration, tokenizer, `merge.json` and a model card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import overmem
from overmem.artifacts.files import write_text_atomic
from overmem.boundary import real_path
from overmem.formatting import markdown
from overmem.merging.checks import label
from overmem.merging.plan import MergePlan

MERGE_SCHEMA = "overmem.merge/1"
CONFIGURATION = ("config.json", "generation_config.json", "*.py")
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "*.model",
    "tekken.json",
    "*.jinja",
    "chat_template.json",
    "processor_config.json",
    "preprocessor_config.json",
)
"""All else in a checkpoint (optimizer, scheduler, random states, arguments) belongs to its training."""


def copy_config_and_tokenizer(plan: MergePlan, folder: Path, model: Path | None) -> None:
    """Copy the configuration from `model` and the tokenizer from where the plan found it."""
    for source, patterns in ((model, CONFIGURATION), (plan.tokenizer, TOKENIZER)):
        if source is not None:
            for file in (file for pattern in patterns for file in source.glob(pattern)):
                shutil.copyfile(file, folder / file.name)


def write_record(plan: MergePlan, folder: Path, details: Mapping[str, Any]) -> None:
    """Write `merge.json` and the model card.

    Args:
        plan: what was done.
        folder: with the merged weights.
        details: what only doing it showed, such as the share lost to a smaller rank.
    """
    record = {
        "schema": MERGE_SCHEMA,
        "overmem_version": overmem.__version__,
        "method": plan.method,
        "kind": plan.kind,
        "into_full": plan.into_full,
        "base_model": plan.base_model,
        "rank": plan.rank,
        "inputs": [
            {"path": str(real_path(path)), "weight": weight}
            for path, weight in zip(plan.inputs, plan.weights, strict=True)
        ],
        "dtype": plan.dtype,
        "n_tensors": len(plan.tensors),
        "n_bytes": plan.n_bytes,
        **details,
    }
    (folder / "merge.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    write_text_atomic(folder / "README.md", render_card(plan, details))


def render_card(plan: MergePlan, details: Mapping[str, Any]) -> str:
    """A model card that says how the weights were made."""
    library = "peft" if plan.kind == "adapter" else "transformers"
    rows = "\n".join(
        f"| {markdown(label(path))} | {weight:.6g} |"
        for path, weight in zip(plan.inputs, plan.weights, strict=True)
    )
    return f"""---
library_name: {library}
tags:
- merge
- overmem
---

# Merged {"adapter" if plan.kind == "adapter" else "model"}

## How it was made

Made by overmem {overmem.__version__} from {len(plan.inputs)} checkpoints.
No training was done after the merge.

| checkpoint | weight |
| --- | --- |
{rows}

{_describe(plan)}{_describe_details(details)}
`merge.json` holds the same for programs.
"""


def _describe(plan: MergePlan) -> str:
    how = {
        "slerp": "each tensor was interpolated along the sphere (linearly where nearly parallel)",
        "ties": "sign election over the differences from the base model (TIES), by mergekit",
        "dare": "randomly thinned and rescaled differences from the base model (DARE), by mergekit",
    }.get(plan.method, "weighted average, rounded once")
    if plan.kind == "adapter":
        how = "weighted average of the updates `s B A`, by stacking their factors"
        how += "" if plan.rank is None else f", then reduced to rank {plan.rank} by SVD"
    elif plan.into_full:
        how += "; adapters were first added to their base model's weights"
    return f"Method `{plan.method}`: {how}. Written in {plan.dtype}.\n"


def _describe_details(details: Mapping[str, Any]) -> str:
    if details.get("lost_share") is not None:
        return f"\nThe reduction lost {details['lost_share']:.3g} of the update's squared Frobenius norm.\n"
    if "slerp_linear_tensors" in details:
        n = details["slerp_linear_tensors"]
        return f"\nTensors that were nearly parallel, and so interpolated linearly: {n}.\n"
    if "mergekit_version" in details:
        return f"\nmergekit {details['mergekit_version']}, configuration in `mergekit_config.yml`.\n"
    return ""
