"""TIES and DARE, which mergekit has; an optional extra.

Only the YAML, the call and the folder are ours.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml

from overmem.boundary import real_path
from overmem.errors import MergeError
from overmem.merging.plan import MergePlan
from overmem.merging.weights import mergekit_modules

METHODS = {"ties": "ties", "dare": "dare_linear"}
"""Our names to mergekit's: TIES is arXiv 2306.01708, DARE arXiv 2311.03099."""
DENSITY = 0.5
"""Share of each difference from the base that is kept."""
SEED = 0
"""Of the entries that DARE drops."""
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def mergekit_config(plan: MergePlan) -> dict[str, Any]:
    """The configuration mergekit wants for a plan (https://github.com/arcee-ai/mergekit)."""
    config: dict[str, Any] = {
        "merge_method": METHODS[plan.method],
        "base_model": _reference(str(plan.base_model)),
        "models": [
            {"model": _reference(str(real_path(path))), "parameters": {"weight": weight, "density": DENSITY}}
            for path, weight in zip(plan.inputs, plan.weights, strict=True)
        ],
    }
    # Differences are taken in fp32; "mixed" is left to mergekit.
    if plan.dtype in DTYPES:
        config |= {"dtype": "float32", "out_dtype": DTYPES[plan.dtype]}
    return config


def run_mergekit(plan: MergePlan, folder: Path, *, max_shard_bytes: int) -> dict[str, Any]:
    """Merge into `folder`, leaving torch's random state as it was.

    Raises:
        MergeError: mergekit is not installed, or refuses.
    """
    merging, configuration, options, loading = mergekit_modules()
    config = mergekit_config(plan)
    settings = {
        "out_shard_size": max_shard_bytes,
        "copy_tokenizer": False,
        "write_model_card": False,
        "quiet": True,
    }
    try:
        with torch.random.fork_rng():
            torch.manual_seed(SEED)
            merging.run_merge(
                configuration.MergeConfiguration.model_validate(config),
                str(folder),
                options.MergeOptions(**settings),
            )
    except (ValueError, RuntimeError, KeyError) as error:
        raise MergeError(
            f"mergekit refuses to merge by {plan.method}",
            got=(str(error).splitlines() or [type(error).__name__])[0],
        ) from error
    finally:
        # It keeps every model it opened, and would serve it again after the folder has changed.
        loading.LoaderCache().loaders.clear()
    (folder / "mergekit_config.yml").write_text(yaml.safe_dump(config, sort_keys=False))
    return {"mergekit_version": metadata.version("mergekit"), "density": DENSITY, "seed": SEED}


def _reference(path: str) -> dict[str, Any]:
    """A model by its path; as a plain string mergekit would take `+` and `@` in it for its own syntax."""
    return {"model": {"path": path}}
