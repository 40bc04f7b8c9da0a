"""Positions of answers while they are written: which prompts may share a pass, and how far a row may go.

Some rotations follow the longest row of a whole pass: `longrope` (Phi-3) has factors for short and for long
texts, `dynamic` stretches with the length. A row would then be read otherwise than its own keys were
written, and its answer would depend on its company.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from overmem.models.pretrained import context_length, unwrap_adapter


@dataclass(frozen=True)
class Group:
    """Prompts that may be written together."""

    prompts: Sequence[int]
    """Which ones."""
    positions: int | None = None
    """No row is fed a position beyond so many; None has no such limit."""
    alone: bool = False
    """Whether each row is written by itself after all."""


def group_prompts(model: Any, lengths: Sequence[int], max_new_tokens: int) -> list[Group]:
    """Part prompts so that the positions of one change nothing for the others.

    Args:
        model: a causal LM.
        lengths: tokens of each prompt.
        max_new_tokens: longest answer.
    """
    every = range(len(lengths))
    changes = changing_rotations(model)
    if not changes:
        return [Group(every, _table(model))]
    limit = min(changes.values())
    short = [i for i in every if lengths[i] + max_new_tokens <= limit]
    # Stretched rotations differ from length to length; the long factors are the same for all.
    long = [i for i in every if lengths[i] > limit and "dynamic" not in changes]
    rest = sorted(set(every) - {*short, *long})
    found = [Group(short, limit), Group(long), *(Group([i], alone=True) for i in rest)]
    return [group for group in found if group.prompts]


def changing_rotations(model: Any) -> dict[str, int]:
    """Kinds of rotations that follow the longest row of a pass, each with the length from which on."""
    text = unwrap_adapter(model).config.get_text_config(decoder=True)
    rope = getattr(text, "rope_parameters", None) or {}
    # One dictionary, or one for each type of layer.
    every = [rope, *(of_type for of_type in rope.values() if isinstance(of_type, dict))]
    limits = {
        "longrope": [
            p["original_max_position_embeddings"] for p in every if p.get("rope_type") == "longrope"
        ],
        "dynamic": [text.max_position_embeddings for p in every if p.get("rope_type") == "dynamic"],
    }
    return {kind: min(of_kind) for kind, of_kind in limits.items() if of_kind}


def _table(model: Any) -> int | None:
    """How many positions a model that has learned them knows; rotations go on for ever."""
    base = unwrap_adapter(model)
    text = base.config.get_text_config(decoder=True)
    return context_length(base) if getattr(text, "rope_parameters", None) is None else None
