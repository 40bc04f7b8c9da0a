"""Bare parameters that a LoRA adapter changes (PEFT's `target_parameters`): the fused experts of a mixture.

PEFT wraps a module once for each of its parameters, and saves the first of them innermost:
`experts.base_layer` is `experts.gate_up_proj`, `experts` is `experts.down_proj`. Which is which only the
model knows.

Shapes: E experts, r rank, I inputs, O outputs; A is (E * r, I) and B is (O, r * E), the experts innermost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from overmem.boundary import library_call
from overmem.errors import MergeError
from overmem.merging.lora import Factors

INNER = ".base_layer"


def find_parameters(
    names: Iterable[str], config: Mapping[str, Any], base_model: str
) -> dict[str, tuple[str, int]]:
    """The parameters that an adapter changes, and how many experts each has, by their names in its file.

    Args:
        names: of what the adapter changes, as saved.
        config: adapter_config.json.
        base_model: folder or hub id.

    Raises:
        MergeError: the base model cannot be read, or the configuration names no parameters.
    """
    from overmem.models.base_models import chain_of
    from overmem.models.pretrained import empty_model, read_config

    next_step = "say where the base model is now: base_model=... (on the command line --base-model)"
    what = f"the base model {base_model} cannot be read, which says what experts an adapter changes"
    with library_call(what, MergeError, next_step=next_step):
        read = read_config(chain_of(base_model)[-1], MergeError, trust_remote_code=False, next_step=next_step)
        skeleton = empty_model(read, trust_remote_code=False)
    targets = config["target_parameters"]
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        raise MergeError(
            "adapter_config.json names no parameters under `target_parameters`",
            got=repr(targets)[:100],
            expected="a list of names",
            next_step="copy the checkpoint again",
        )
    modules = dict(skeleton.named_modules())
    found: dict[str, tuple[str, int]] = {}
    for name in names:
        plain = name.replace(INNER, "")
        if plain not in modules:
            continue
        held = [
            (f"{plain}.{key}", weight)
            for key, weight in modules[plain].named_parameters(recurse=False)
            if any(f"{plain}.{key}" == t or f"{plain}.{key}".endswith(f".{t}") for t in targets)
        ]
        if held:
            parameter, weight = held[len(held) - 1 - name.count(INNER)]
            found[name] = parameter, weight.shape[0] if weight.dim() == 3 else 1
    return found


def split_experts(factors: Factors, experts: int) -> list[Factors]:
    """The factors of each expert: A (r, I), B (O, r)."""
    if experts == 1:
        return [factors]
    a = factors.a.reshape(experts, -1, factors.a.shape[1])
    b = factors.b.reshape(factors.b.shape[0], -1, experts)
    return [Factors(a=a[e], b=b[:, :, e]) for e in range(experts)]


def join_experts(parts: list[Factors]) -> Factors:
    """What `split_experts` has parted."""
    if len(parts) == 1:
        return parts[0]
    return Factors(
        a=torch.cat([part.a for part in parts]),
        b=torch.stack([part.b for part in parts], dim=-1).flatten(1),
    )
