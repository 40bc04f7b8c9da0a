"""Where an answer ends: the ids of the model, of the tokenizer and of the template's end of turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from overmem.rendering.rendered import special_ids


def stop_ids(model: Any, tokenizer: PreTrainedTokenizerBase, end_of_completion: int | None) -> list[int]:
    """Token ids that end an answer: the model's, the tokenizer's, and the template's end of turn."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    return sorted({i for i in (*ids, tokenizer.eos_token_id, end_of_completion) if i is not None})


def end_of_completion(tokenizer: PreTrainedTokenizerBase, completions: Iterable[Sequence[int]]) -> int | None:
    """The template's end-of-turn token: the special token that ends every completion; None without one.

    Templates such as ChatML write a newline after it, which is not the end of the turn.

    Args:
        tokenizer: of the completions.
        completions: token ids of the references.
    """
    special = special_ids(tokenizer)

    def last(ids: Sequence[int]) -> int | None:
        for token in reversed(ids):
            if token in special or tokenizer.decode([token]).strip():
                return token if token in special else None
        return None

    ends = {last(ids) for ids in completions}
    return ends.pop() if len(ends) == 1 else None
